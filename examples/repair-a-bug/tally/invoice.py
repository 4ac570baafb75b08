"""An invoice: lines, a discount spread over them, and tax per line."""

from dataclasses import dataclass, field

from tally import money


@dataclass(frozen=True)
class Line:
    """One position: what, how many, at which price, taxed at which rate."""

    text: str
    quantity: int
    price: int
    tax_rate: int = 20

    @property
    def amount(self):
        return self.quantity * self.price


@dataclass
class Invoice:
    """A numbered list of lines with one discount on the whole."""

    number: str
    lines: list = field(default_factory=list)
    discount: int = 0

    def add(self, text, quantity, price, tax_rate=20):
        if quantity <= 0:
            raise ValueError(f"quantity must be positive, got {quantity}")
        self.lines.append(Line(text, quantity, price, tax_rate))
        return self

    @property
    def subtotal(self):
        return sum(line.amount for line in self.lines)

    def net_amounts(self):
        """What each line costs once its share of the discount is taken off."""
        amounts = [line.amount for line in self.lines]
        if not self.discount:
            return amounts
        shares = money.allocate(self.discount, amounts)
        return [amount - share for amount, share in zip(amounts, shares)]

    @property
    def net(self):
        return sum(self.net_amounts())

    @property
    def tax(self):
        return sum(
            money.percent(amount, line.tax_rate)
            for amount, line in zip(self.net_amounts(), self.lines)
        )

    @property
    def total(self):
        return self.net + self.tax
