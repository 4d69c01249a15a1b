"""Shapes times exits: what the wire contract is made of; `test_wire_contract.py` plays it."""

import pytest

pytest.register_assert_rewrite("contract.stage", "contract.exits")
