"""A double-entry ledger: every booking moves an amount from one account to another."""

from collections import defaultdict


class Unbalanced(ValueError):
    """The legs of a booking do not add up to nothing."""


class Ledger:
    """Bookings in order, and the balance they leave on each account."""

    def __init__(self):
        self.bookings = []
        self._balances = defaultdict(int)

    def book(self, reference, legs):
        """Books `legs`, a list of (account, cents); together they must be zero."""
        if sum(cents for _, cents in legs) != 0:
            raise Unbalanced(f"{reference}: legs add up to {sum(cents for _, cents in legs)}")
        self.bookings.append((reference, tuple(legs)))
        for account, cents in legs:
            self._balances[account] += cents

    def book_invoice(self, invoice):
        """The customer owes the total; revenue and tax are owed to others."""
        self.book(
            invoice.number,
            [("customers", invoice.total), ("revenue", -invoice.net), ("tax", -invoice.tax)],
        )

    def balance(self, account):
        return self._balances[account]

    def trial_balance(self):
        """Balances of all accounts, by name; their sum is always zero."""
        return dict(sorted(self._balances.items()))
