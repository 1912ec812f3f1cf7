"""Sample quality in the picker, in the header and in Compare."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.page.visitor import Visitor


def compared(visitor: Visitor) -> list[str]:
    """Return the versions that Compare shows."""
    return visitor.shown.get_by_role("heading", level=3).all_inner_texts()


def row(visitor: Visitor, name: str) -> list[str]:
    """Return the cells of a row of the table in Compare."""
    cells = visitor.shown.locator("tr").filter(has_text=re.compile(f"^{name}")).locator("td")
    return [" ".join(text.split()) for text in cells.all_inner_texts()]


def listed(visitor: Visitor) -> dict[str, dict[str, object]]:
    models = visitor.page.request.get(f"{visitor.address}/models").json()["models"]
    return {model["name"]: model for model in models}


def test_the_picker_groups_models_by_data_set_and_shows_the_best_samples_first(
    visitor: Visitor,
) -> None:
    visitor.open()
    options = visitor.page.locator("#model optgroup[label^=MNIST] option").all_text_contents()
    assert len(options) > 2
    assert options[0].endswith(", the best")
    assert all(re.search(r"; samples \d+ %", option) for option in options)
    best = [model["name"] for model in listed(visitor).values() if model["best_samples"]]
    assert options[0].partition(":")[0] in best
    made = visitor.page.locator("#model optgroup[label^=made] option")
    texts = made.all_text_contents()
    assert "zcolour: 3 dimensions; samples not measured" in texts
    assert all(text.endswith("; samples not measured") for text in texts)


def test_the_header_says_how_good_the_samples_of_the_selected_version_are(
    visitor: Visitor,
) -> None:
    visitor.open("#generate?model=lab")
    quality = listed(visitor)["lab"]["sample_quality"]
    assert isinstance(quality, dict)
    share = f"{100 * quality['recognisable']:.0f} %"
    header = visitor.page.locator("#numbers")
    expect(header).to_contain_text(f"Sample quality {share} as recognisable as real images")
    visitor.open("#generate?model=zcolour@2")
    expect(header).to_contain_text("Sample quality not measured")


@pytest.mark.parametrize("name", ["fashion", "lab"])
def test_compare_chooses_the_best_other_model_of_the_same_data_set(
    visitor: Visitor, name: str
) -> None:
    visitor.open(f"#compare?model={name}&n=4&seed=8")
    models = listed(visitor)
    alike = [
        model
        for model in models.values()
        if model["dataset"] == models[name]["dataset"]
        and model["name"] != name
        and model["sample_quality"]
    ]
    best = min(alike, key=lambda model: model["sample_quality"]["frechet_distance"])  # type: ignore[index]
    assert compared(visitor) == [
        f"{name}@{models[name]['version']}",
        f"{best['name']}@{best['version']}",
    ]


def test_compare_chooses_another_version_if_no_other_model_has_the_data_set(
    visitor: Visitor,
) -> None:
    def without_others(route: Route) -> None:
        answer = route.fetch()
        models = [model for model in answer.json()["models"] if model["name"] in ("zcolour", "lab")]
        route.fulfill(response=answer, json={"models": models, "unreadable": []})

    visitor.page.route("**/models?**", without_others)
    visitor.open("#compare?model=zcolour@2&n=4&seed=8")
    assert compared(visitor) == ["zcolour@2", "zcolour@1"]
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "Not ranked: the samples of zcolour@2 and zcolour@1 were not measured."
    )


def test_compare_marks_the_better_and_the_worse_samples_of_one_data_set(visitor: Visitor) -> None:
    visitor.open("#compare?model=notebook@3&other=lab@4&n=4&seed=8")
    assert row(visitor, "Sample quality") == [
        "82 % as recognisable as real images ▲ better",
        "42 % as recognisable as real images ▼ worse",
    ]
    # notebook's samples are recognisable but lack variety, and the Frechet distance decides
    assert row(visitor, "Frechet distance of samples") == ["26.56 ▼ worse", "10.25 ▲ better"]
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "lab@4 makes the better samples: their Frechet distance from real images is 10.25, "
        "against 26.56 of notebook@3."
    )
    assert row(visitor, "Trained on") == ["MNIST", "MNIST"]


def test_compare_does_not_rank_models_of_different_data_sets(visitor: Visitor) -> None:
    visitor.open("#compare?model=mnist@11&other=fashion@3&n=4&seed=8")
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "Not ranked: mnist@11 was trained on MNIST, fashion@3 on Fashion-MNIST, and measurements "
        "of different data sets cannot be compared."
    )
    assert visitor.shown.locator(".mark").count() == 0


def test_a_version_with_the_same_numbers_as_the_other_has_no_marks(visitor: Visitor) -> None:
    visitor.open("#compare?model=lab@4&other=lab@4&n=4&seed=8")
    assert visitor.shown.locator(".mark").count() == 0
    expect(visitor.shown.locator(".verdict")).to_contain_text("equally good samples")


def test_a_service_that_lists_no_sample_quality_is_shown_as_not_measured(visitor: Visitor) -> None:
    def remove_quality(route: Route) -> None:
        answer = route.fetch().json()
        answer["sample_quality"] = None
        route.fulfill(json=answer)

    visitor.page.route("**/models/lab/4", remove_quality)
    visitor.open("#compare?model=lab@4&other=mnist@11&n=4&seed=8")
    expect(visitor.shown.locator(".verdict")).to_have_text(
        "Not ranked: the samples of lab@4 were not measured."
    )
