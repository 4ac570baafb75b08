"""Amounts: reading, showing, rounding, splitting."""

import unittest

from tally import money


class MoneyTest(unittest.TestCase):
    def test_amounts_are_read(self):
        self.assertEqual(money.parse("12.30"), 1230)
        self.assertEqual(money.parse(" -0.05 "), -5)
        self.assertEqual(money.parse("7"), 700)

    def test_nonsense_is_refused(self):
        for text in ("", "12.3", "1,50", "ten"):
            with self.assertRaises(ValueError):
                money.parse(text)

    def test_amounts_are_shown(self):
        self.assertEqual(money.show(1230), "12.30")
        self.assertEqual(money.show(-5), "-0.05")

    def test_percentages_round_half_up(self):
        self.assertEqual(money.percent(1230, 20), 246)
        self.assertEqual(money.percent(5, 10), 1)

    def test_amounts_are_split_by_weight(self):
        self.assertEqual(money.allocate(900, [1, 2]), [300, 600])

    def test_weights_of_nothing_are_refused(self):
        with self.assertRaises(ValueError):
            money.allocate(900, [0, 0])
