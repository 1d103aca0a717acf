"""The drawings of the metrics page, in a browser, without a network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages.browsing import window

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).parents[2] / "static" / "js" / "charts.js"
UI = """const dtvn = { ui: { shape: (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  return made;
} } };"""
LABELS = """([most, decimals, whole]) => {
  const svg = document.querySelector("svg");
  const axis = { span: 300, apart: 5, scale: 1, whole, text: (value) => value.toFixed(decimals) };
  dtvn.charts.line(svg, [{ kind: "a", points: [[2, 0], [0, most]] }], axis);
  const texts = [...svg.querySelectorAll(".tick")].map((one) => one.textContent);
  return texts.filter((one) => !/min|now/.test(one));
}"""


@pytest.mark.parametrize("decimals", [0, 1])
def test_an_axis_shows_the_numbers_that_it_means(browser: Browser, decimals: int) -> None:
    """A step of 2.5 without decimals reads 0, 3, 5, 8, 10."""
    context = window(browser)
    page = context.new_page()
    page.set_content("<svg></svg>")
    page.add_script_tag(content=UI + SCRIPT.read_text())
    for most in (0.3, 1, 7, 9, 10, 23, 99, 1_000, 8_888):
        shown = [float(one) for one in page.evaluate(LABELS, [most, decimals, decimals == 0])]
        steps = {round(after - before, 6) for before, after in pairwise(shown)}
        assert len(shown) >= 3, shown
        assert len(steps) == 1, (most, shown)
        assert shown[-1] >= most
    context.close()


def test_a_point_without_neighbours_is_drawn(browser: Browser) -> None:
    context = window(browser)
    page = context.new_page()
    page.set_content("<svg></svg>")
    page.add_script_tag(content=UI + SCRIPT.read_text())
    page.evaluate(
        """() => dtvn.charts.line(
          document.querySelector("svg"),
          [{ kind: "a", points: [[200, 1], [2, 0], [0, 1]] }],
          { span: 300, apart: 5, scale: 1, text: (value) => String(value) },
        )"""
    )
    assert (page.locator("circle.point").count(), page.locator("polyline.line").count()) == (1, 1)
    context.close()
