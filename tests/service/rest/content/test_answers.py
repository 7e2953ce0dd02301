import io
import json

import numpy as np
import pytest

from caveat.models.draws.masks import MAX_SEED
from caveat.models.predictor import Predictor
from caveat.service.rest.content.answers import write
from caveat.service.rest.content.arrays import NPY, NPZ
from tests.bundles import linear_regression
from tests.service.schema import conforming
from tests.service.serving import Service

PATIENTS = [{"age": 61, "smoker": "yes", "dose": 2}, {"age": 30, "smoker": "no", "dose": 0.5}]
POINTS = [[1, 2, 3], [0.5, -1, 2], [0, 0, 0]]
ROUTES = ["/predict/uncertainty", "/models/linear/predict/uncertainty"]


def rows_for(route: str) -> list[object]:
    return list(POINTS) if "linear" in route else list(PATIENTS)


def test_a_classification_is_answered_by_name_and_probability(service: Service) -> None:
    answer = conforming("Classes", service.ask("/predict", inputs=PATIENTS).json())
    assert (answer.model, answer.version, answer.label) == ("tabular", 2, ["no", "no"])
    logit = (
        np.array([0.02, -0.02]) * 61 + np.array([-1, 1]) + np.array([0.5, -0.5]) * 2 + np.array([0.1, -0.1])
    )
    expected = np.exp(logit) / np.exp(logit).sum()
    np.testing.assert_allclose(answer.mean[0], expected, rtol=1e-5)


def test_a_regression_is_answered_in_its_units(service: Service) -> None:
    answer = conforming("Values", service.ask("/models/linear/predict", inputs=POINTS).json())
    np.testing.assert_allclose(answer.mean, [6.5, 9.0, 0.5], rtol=1e-6)


def test_the_columns_of_an_uncertain_classification_agree(service: Service) -> None:
    response = service.ask("/predict/uncertainty", inputs=PATIENTS, samples=500, seed=7)
    answer = conforming("UncertainClasses", response.json())
    assert (answer.samples, answer.seed) == (500, 7)
    mean = np.array(answer.mean)
    assert mean.shape == (2, 2)
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-6)
    assert answer.label == [("no", "yes")[best] for best in mean.argmax(axis=1)]
    np.testing.assert_allclose(
        answer.mutual_information,
        np.subtract(answer.predictive_entropy, answer.expected_entropy),
        atol=1e-6,
    )
    missing = (np.array(answer.variance) / mean).sum(axis=1) / (2 * 500)
    np.testing.assert_allclose(
        answer.predictive_entropy, missing - (mean * np.log(mean)).sum(axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(answer.standard_error, np.sqrt(np.array(answer.variance) / 500), rtol=1e-5)


def test_an_uncertain_regression_has_its_closed_form(service: Service) -> None:
    response = service.ask("/models/linear/predict/uncertainty", inputs=POINTS, samples=1000, seed=3)
    answer = conforming("UncertainValues", response.json())
    expected = np.array([6.5, 9.0, 0.5])
    assert (np.abs(answer.mean - expected) <= 4 * np.array(answer.standard_error) + 1e-6).all()
    spread = (np.array(POINTS) * [1.0, -2.0, 3.0]) ** 2
    np.testing.assert_allclose(answer.epistemic_variance, spread.sum(axis=1), rtol=0.15, atol=1e-6)
    np.testing.assert_allclose(answer.aleatoric_variance, 0.25)
    np.testing.assert_allclose(
        answer.variance, np.add(answer.epistemic_variance, answer.aleatoric_variance), rtol=1e-6
    )


@pytest.mark.parametrize("route", ROUTES)
def test_equal_requests_get_equal_bytes(service: Service, route: str) -> None:
    first = service.ask(route, inputs=rows_for(route))
    assert first.content == service.ask(route, inputs=rows_for(route)).content
    assert first.json()["samples"] == 100
    assert first.json()["seed"] == 0
    spelled = service.ask(route, inputs=rows_for(route), samples=100, seed=0)
    assert first.content == spelled.content


@pytest.mark.parametrize("route", ROUTES)
def test_random_seeds_differ_and_replay(service: Service, route: str) -> None:
    # Stratified means of a linear network hardly depend on the seed.
    asked = {"inputs": rows_for(route), "sampler": "independent"}
    one, other = (service.ask(route, seed="random", **asked) for _ in range(2))
    assert one.json()["seed"] != other.json()["seed"]
    assert one.json()["mean"] != other.json()["mean"]
    assert 0 <= one.json()["seed"] <= MAX_SEED
    assert one.content == service.ask(route, seed=one.json()["seed"], **asked).content


@pytest.mark.parametrize("route", ROUTES)
def test_a_row_gets_the_same_answer_alone_as_among_others(service: Service, route: str) -> None:
    together = service.ask(route, inputs=rows_for(route)).json()
    alone = service.ask(route, inputs=rows_for(route)[:1]).json()
    columns = [name for name, column in together.items() if isinstance(column, list)]
    assert columns
    for name in columns:
        assert together[name][0] == alone[name][0]


def test_a_request_may_name_a_version_and_the_highest_is_the_default(service: Service) -> None:
    answers = [
        service.ask(f"/models/tabular{version}/predict/uncertainty", inputs=PATIENTS).json()
        for version in ("", "/versions/2", "/versions/1")
    ]
    assert [answer["version"] for answer in answers] == [2, 2, 1]
    assert answers[0] == answers[1]
    assert answers[0]["variance"] != answers[2]["variance"]


@pytest.mark.parametrize("verb", ["predict", "predict/uncertainty"])
def test_rows_on_which_the_network_overflows_are_refused_by_number(service: Service, verb: str) -> None:
    response = service.ask(f"/models/linear/{verb}", inputs=[[1, 2, 3], [1e38, -3e38, 3e38]])
    assert response.status_code == 422
    assert response.json()["where"] == "inputs[1]"
    assert "not finite" in response.json()["detail"]


def test_a_column_that_is_a_strided_view_is_written_in_every_type() -> None:
    predictor = Predictor(linear_regression())
    pairs = np.array([[6.5, 1.0], [9.0, 2.0]])
    columns = {"mean": pairs[:, 0]}
    assert json.loads(write(predictor, None, columns, "application/json"))["mean"] == [6.5, 9.0]
    assert np.load(io.BytesIO(write(predictor, None, columns, NPY))).tolist() == [6.5, 9.0]
    assert np.load(io.BytesIO(write(predictor, None, columns, NPZ)))["mean"].tolist() == [6.5, 9.0]
