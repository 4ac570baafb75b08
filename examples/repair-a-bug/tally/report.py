"""Plain text for people: an invoice, and the state of a ledger."""

from tally import money


def invoice(document):
    """One line per position, then discount, tax and total."""
    rows = [f"Invoice {document.number}"]
    for line in document.lines:
        rows.append(f"  {line.quantity:>3} x {line.text:<24} {money.show(line.amount):>10}")
    if document.discount:
        rows.append(f"  {'discount':<30} {money.show(-document.discount):>10}")
    rows.append(f"  {'tax':<30} {money.show(document.tax):>10}")
    rows.append(f"  {'total':<30} {money.show(document.total):>10}")
    return "\n".join(rows)


def trial_balance(ledger):
    """One line per account."""
    return "\n".join(
        f"{account:<16} {money.show(cents):>12}" for account, cents in ledger.trial_balance().items()
    )
