"""Draw with models of colour and of many dimensions: everything fits, and can be read."""

import io

import pytest
from PIL import Image

from tests.page.visitor import Visitor

MODELS = {"zwide@1": 128, "faces@2": 32, "zcolour@1": 3}


def a_photo() -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((300, 200)).convert("RGB").save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "width",
    [pytest.param(width, marks=pytest.mark.screen(width=width)) for width in (390, 1440)],
)
@pytest.mark.parametrize("model", MODELS)
def test_the_page_is_not_wider_than_the_window(visitor: Visitor, model: str, width: int) -> None:
    visitor.open(f"#draw?model={model}")
    visitor.drop(a_photo())
    visitor.shown.locator(".typicality").wait_for()
    for summary in visitor.shown.locator("summary").all():
        summary.click()
    assert visitor.is_as_wide_as_the_window()
    columns = visitor.shown.locator(".dimension")
    assert columns.count() == MODELS[model]
    boxes = [column.bounding_box() for column in columns.all()]
    assert all(box and box["width"] >= 18 and box["x"] + box["width"] <= width for box in boxes)
    overlapping = columns.evaluate_all(
        """columns => columns.filter(column => {
            const range = document.createRange();
            range.selectNodeContents(column.querySelector(".number"));
            return range.getBoundingClientRect().width > column.getBoundingClientRect().width + 1;
        }).length"""
    )
    assert overlapping == 0


def test_values_far_outside_the_prior_are_marked_at_the_edge(visitor: Visitor) -> None:
    visitor.open("#draw?model=faces@2")
    visitor.draw((0.25, 0.25), (0.75, 0.25), (0.45, 0.8))
    box = visitor.shown.locator(".chart").first.bounding_box()
    assert box
    assert "from \u22126 to 6" in visitor.shown.locator(".chart-key").inner_text()
    outside = visitor.shown.locator(".mu.above, .mu.below")
    assert outside.count() > 0
    for dot in outside.all():
        place = dot.bounding_box()
        assert place
        assert box["y"] <= place["y"] <= box["y"] + box["height"]
