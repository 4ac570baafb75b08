"""Invoices: lines, discount, tax."""

import unittest

from tally import report
from tally.invoice import Invoice


def three_services(discount):
    return (
        Invoice("INV-1007", discount=discount)
        .add("planning", 1, 10_000)
        .add("building", 1, 10_000)
        .add("testing", 1, 10_000)
    )


class InvoiceTest(unittest.TestCase):
    def test_lines_add_up(self):
        invoice = Invoice("INV-1001").add("hosting", 12, 1_500).add("domain", 1, 1_200)
        self.assertEqual(invoice.subtotal, 19_200)
        self.assertEqual(invoice.tax, 3_840)
        self.assertEqual(invoice.total, 23_040)

    def test_quantity_must_be_positive(self):
        with self.assertRaises(ValueError):
            Invoice("INV-1002").add("hosting", 0, 1_500)

    def test_a_discount_lowers_every_line(self):
        self.assertEqual(three_services(3_000).net_amounts(), [9_000, 9_000, 9_000])

    def test_a_discount_is_taken_off_to_the_cent(self):
        invoice = three_services(10_00)
        self.assertEqual(invoice.net, invoice.subtotal - invoice.discount)

    def test_an_invoice_can_be_read(self):
        text = report.invoice(three_services(3_000))
        self.assertIn("discount", text)
        self.assertTrue(text.endswith("324.00"))
