"""The ways to spell a norm of a convolution's output, one function a step."""

from __future__ import annotations

import numpy as np
from graphs import Net


class Spelling(Net):
    """A convolution's output with C = 4 = H = W, and the ways to spell a norm of it."""

    def __init__(self, opset: int = 20) -> None:
        super().__init__(opset=opset)
        self.shape: tuple[int, ...] = (4, 1, 1)
        self.x = self.conv(self.input(["N", 3, 6, 6]), 3, 4)

    def numbers(self, low: float | None = None) -> np.ndarray:
        return self.floats(*self.shape, low=low)

    def vector(self, low: float | None = None) -> str:
        return self.const(self.numbers(low))


def sub(net: Spelling, x: str) -> str:
    return net.op("Sub", x, net.vector())


def add(net: Spelling, x: str) -> str:
    return net.op("Add", x, net.vector())


def add_first(net: Spelling, x: str) -> str:
    return net.op("Add", net.vector(), x)


def sub_from(net: Spelling, x: str) -> str:
    return net.op("Neg", net.op("Sub", net.vector(), x))


def sub_negated(net: Spelling, x: str) -> str:
    return net.op("Sub", x, net.op("Neg", net.vector()))


SHIFTS = [sub, add, add_first, sub_from, sub_negated]


def mul(net: Spelling, x: str) -> str:
    return net.op("Mul", x, net.vector())


def mul_first(net: Spelling, x: str) -> str:
    return net.op("Mul", net.vector(), x)


def div(net: Spelling, x: str) -> str:
    return net.op("Div", x, net.vector(low=0.3))


def negated(net: Spelling, x: str) -> str:
    return net.op("Neg", net.op("Mul", x, net.vector()))


SCALES = [mul, mul_first, div, negated]


def inside(net: Spelling) -> str:
    return net.op("Add", net.vector(low=0.3), net.scalar(1e-3))


def by_root(net: Spelling, x: str) -> str:
    return net.op("Div", x, net.op("Sqrt", inside(net)))


def eps_outside(net: Spelling, x: str) -> str:
    return net.op("Div", x, net.op("Add", net.op("Sqrt", net.vector(low=0.3)), net.scalar(1e-3)))


def no_eps(net: Spelling, x: str) -> str:
    return net.op("Div", x, net.op("Sqrt", net.vector(low=0.3)))


def reciprocal(net: Spelling, x: str) -> str:
    return net.op("Mul", x, net.op("Reciprocal", net.op("Sqrt", inside(net))))


def one_over(net: Spelling, x: str) -> str:
    return net.op("Mul", net.op("Div", net.scalar(1.0), net.op("Sqrt", inside(net))), x)


def by_power(net: Spelling, x: str) -> str:
    return net.op("Mul", x, net.op("Pow", inside(net), net.scalar(-0.5)))


def over_power(net: Spelling, x: str) -> str:
    return net.op("Div", x, net.op("Pow", inside(net), net.scalar(0.5)))


def by_exponential(net: Spelling, x: str) -> str:
    halved = net.op("Mul", net.op("Log", inside(net)), net.scalar(-0.5))
    return net.op("Mul", x, net.op("Exp", halved))


def gamma_over_deviation(net: Spelling, x: str) -> str:
    return net.op("Mul", x, net.op("Div", net.vector(), net.op("Sqrt", inside(net))))


ROOTS = [
    by_root,
    eps_outside,
    no_eps,
    reciprocal,
    one_over,
    by_power,
    over_power,
    by_exponential,
    gamma_over_deviation,
]
