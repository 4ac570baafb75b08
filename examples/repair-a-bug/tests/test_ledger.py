"""The ledger: bookings balance."""

import unittest

from tally import report
from tally.invoice import Invoice
from tally.ledger import Ledger, Unbalanced


class LedgerTest(unittest.TestCase):
    def test_an_invoice_is_booked_to_three_accounts(self):
        ledger = Ledger()
        ledger.book_invoice(Invoice("INV-1001").add("hosting", 12, 1_500))
        self.assertEqual(ledger.balance("customers"), 21_600)
        self.assertEqual(ledger.balance("revenue"), -18_000)
        self.assertEqual(ledger.balance("tax"), -3_600)
        self.assertEqual(sum(ledger.trial_balance().values()), 0)

    def test_legs_must_balance(self):
        with self.assertRaises(Unbalanced):
            Ledger().book("typo", [("customers", 100), ("revenue", -99)])

    def test_balances_can_be_read(self):
        ledger = Ledger()
        ledger.book("opening", [("bank", 5_000), ("equity", -5_000)])
        self.assertIn("50.00", report.trial_balance(ledger))
