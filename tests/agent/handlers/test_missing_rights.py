"""What a handler says when the service may not do something, and the remedy that the log names."""

import pytest

from agent.handlers import missing_rights
from agent.handlers.missing_rights import find_remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("touch: cannot touch '/etc/x': Read-only file system", "ReadWritePaths="),
        ("OSError: [Errno 30] Read-only file system: '/srv/x'", "ReadWritePaths="),
        ('sudo: The "no new privileges" flag is set, which prevents sudo from running as root.', "unit"),
        ("chown: changing ownership of 'x': Operation not permitted", "polkit rule"),
        ("PermissionError: [Errno 1] Operation not permitted", "path unit"),
        ("Failed to restart x.service: Interactive authentication required.", "polkit rule"),
        ("Error: Not authorized to control networking.", "polkit rule"),
        ("OSError: [Errno 97] Address family not supported by protocol", "setup --network"),
        ("cat: /x: No such file or directory", ""),
        ("cat: /root/x: Permission denied", ""),
    ],
)
def test_missing_right_has_a_remedy(text, remedy):
    found = find_remedy(text)
    assert (remedy in found) if remedy else found == ""


@pytest.mark.parametrize(("allowed", "remedy"), [(True, ""), (False, missing_rights._NO_NETWORK)])
def test_name_that_is_not_resolved_is_a_missing_right_only_without_network(allowed, remedy):
    assert find_remedy("curl: (6) Could not resolve host: example.com", lambda: allowed) == remedy
