"""What commands nobody."""


def test_only_the_newest_strays_are_kept(desk, make):
    """Strangers cannot fill the disk."""
    for number in range(1005):
        desk.keep(make.stray(), raw=f"{number:04X}")
    assert desk.column("SELECT count(*), min(raw) FROM strays") == [1000]
    assert desk.column("SELECT min(raw) FROM strays") == ["0005"]
