"""The profiles themselves, one TOML file a family of modules; read by hardware.profile."""
