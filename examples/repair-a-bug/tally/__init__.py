"""Invoices and a small double-entry ledger, in whole cents."""
