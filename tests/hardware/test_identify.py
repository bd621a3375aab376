"""Which profile fits what a module says, and what USB says of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hardware import profile
from hardware.identify import (
    GENERIC,
    MIN_MODEL_CHARS,
    PRIMARY_RANK,
    SECONDARY_RANK,
    match_answers,
    match_usb_id,
    rank_at_port,
)
from hardware.sysfs import UsbDevice, UsbPort

ANSWERS = [
    # As modules gave them in public logs: ATI, +CGMM, +SIMCOMATI; +CGMI where it was there.
    ("bg96", "Quectel\r\nBG96\r\nRevision: BG96MAR02A07M1G"),
    ("bg95", "Quectel\r\nBG77\r\nRevision: BG77LAR02A04"),
    ("bg95", "BG95M3LAR02A03"),
    ("ec25", "Quectel\r\nEC25\r\nRevision: EC25EFAR06A03M4G"),
    ("ec25", "EC25"),
    ("sim7600", "Manufacturer: SIMCOM INCORPORATED\r\nModel: SIMCOM_SIM7600G-H\r\nRevision: SIM7600G_V2.0.2"),
    (
        "sim7600",
        "Manufacturer: SIMCOM INCORPORATED\r\nModel: SIMCOM_SIM7600G-H\r\nRevision: LE20B03SIM7600M22",
    ),
    ("sim7000", "SIMCOM_SIM7000G"),
    ("sim7000", "SIM7000G R1529"),
    ("a7670", "Manufacturer: INCORPORATED\r\nModel: A7670E-LASE\r\nRevision: A011B04A7670M7_F"),
    ("a7670", "Manufacturer: SIMCOM INCORPORATED\r\nModel: A7670G-LLSE\r\nRevision: A124B01A7670M7"),
    ("sim800", "SIM800 R14.18"),
    (
        "huawei_e3372_stick",
        "Manufacturer: huawei\r\nModel: E3372\r\nRevision: 21.200.07.00.00\r\n+GCAP: +CGSM,+DS,+ES",
    ),
    ("huawei_e3372_stick", "Manufacturer: Huawei Technologies Co.,Ltd.\r\nModel: E3372h-320"),
    (
        "wp76xx",
        "Manufacturer: Sierra Wireless, Incorporated\r\nModel: WP7607-1\r\nRevision: SWI9X07Y_02.18.05.00",
    ),
    ("nrf91", "nRF9160-SICA"),
    # The names of the makers' catalogues, in the forms of 27.007.
    ("ec21", '+CGMM: "EC21"'),
    ("eg91", "EG91"),
    ("eg95", "EG95"),
    ("rm500q", "RM500Q-GL"),
    ("sim7070", "SIMCOM_SIM7080"),
    ("sara_r410m", "SARA-R410M-02B"),
    ("sara_r5", "SARA-R510S-01B"),
    ("sara_u201", "SARA-U201"),
    ("toby_l4", "TOBY-L4006"),
    ("toby_l2", "TOBY-L210"),
    ("me910c1", "ME910C1-E2"),
    ("le910c1", "LE910C1-EU"),
    ("hl7812", "HL7812"),
    ("huawei_me909u", "ME909u-521"),
]


@pytest.mark.parametrize(("name", "answer"), ANSWERS)
def test_module_is_identified_by_its_answers(name, answer):
    """Whatever text surrounds the model."""
    assert match_answers([answer]) == name
    assert match_answers(["Quectel", answer.lower()]) == name


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "OK",
        "EG915U",  # another platform than the EG91
        "SIM7670G-MNGV",  # another one than the A7670
        "Quectel\r\nRM500U-CNV\r\nRevision: RM500UCNVAAR03A02M2G",
        "Manufacturer: Qualcomm\r\nModel: T99W175",
        "HE910-D",
        "Simulated\r\nGeneric\r\n1.0",
        "*" * 200,
        "\x00\xff?[(",
    ],
)
def test_unknown_model_is_generic(answer):
    """A similar name is not enough."""
    assert match_answers([answer]) == GENERIC


def test_usb_id_decides_between_equal_models():
    """A model name of two versions, and a product id of two modules."""
    assert match_usb_id("1e0e", "9001") == ["sim7000", "sim7600"]
    assert match_answers(["SIMCOM_SIM7600E-H"], match_usb_id("1e0e", "9001")) == "sim7600"
    assert match_answers(["LARA-R6001"], match_usb_id("1546", "1311")) == "lara_r6_01b"
    assert match_answers(["LARA-R6001"], match_usb_id("05c6", "908b")) == "lara_r6_00b"
    assert match_answers(["LARA-R6001D-01B"]) == "lara_r6_01b"


def test_single_usb_candidate_is_used_without_a_model():
    """ATI may answer ERROR; several candidates give `generic`."""
    assert match_answers([], match_usb_id("2c7c", "0125")) == "ec25"
    assert match_answers([], match_usb_id("1e0e", "9001")) == GENERIC
    assert match_answers([], match_usb_id("0403", "6001")) == GENERIC


def test_answers_precede_usb_ids():
    """Another module may have kept a product id."""
    assert match_answers(["SIM7080 R1951.01"], ["sim7600"]) == "sim7070"


@pytest.mark.parametrize(
    ("name", "usb_id", "interface", "interface_class", "rank"),
    [
        ("sim7600", "1e0e:9001", 2, "ff/00/00", PRIMARY_RANK),
        ("sim7600", "1e0e:9001", 3, "ff/00/00", SECONDARY_RANK),
        ("sim7600", "1e0e:9001", 0, "ff/ff/ff", None),
        ("sim7600", "1e0e:9003", 2, "ff/00/00", None),
        ("sim7600", "2c7c:9001", 2, "ff/00/00", None),
        ("huawei_me909u", "12d1:1573", 7, "ff/01/02", PRIMARY_RANK),
        ("huawei_me909u", "12d1:1573", 0, "ff/01/01", None),
    ],
)
def test_at_ports_are_ranked(name, usb_id, interface, interface_class, rank):
    """First, second or none, by interface number or class."""
    vendor, product = usb_id.split(":")
    device = UsbDevice(usb_path="1-1", vendor=vendor, product=product, serial="", description="")
    port = UsbPort(Path("/dev/ttyUSB0"), device, interface, interface_class)
    assert rank_at_port(profile.load_driver_profile(name), port) == rank


@pytest.mark.parametrize("name", [name for name in profile.list_profiles() if name != GENERIC])
def test_every_profile_has_a_searchable_model(name):
    """It begins with enough letters to be found without parsing all files."""
    driver = profile.load_driver_profile(name)
    assert driver.models
    assert all(len(re.split(r"[*?]", model)[0]) >= MIN_MODEL_CHARS for model in driver.models)
    assert all(
        name in match_usb_id(layout.vendor, product) for layout in driver.usb for product in layout.products
    )


@pytest.mark.parametrize("name", profile.list_profiles())
def test_simulated_module_is_identified(name):
    """The answers of a [device] table match the models of its [driver] table."""
    device = profile.load_simulator_profile(name)
    usb = profile.load_driver_profile(name).usb
    candidates = match_usb_id(usb[0].vendor, usb[0].products[0]) if usb else []
    assert match_answers([device.manufacturer, device.model, device.revision], candidates) == name
