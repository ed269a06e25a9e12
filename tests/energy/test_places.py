"""Places as a study names them: those without data are refused, with the nearest right word."""

from __future__ import annotations

import pytest

from harness.energy.carbon.factor import carbon_factor, further_sites
from harness.energy.carbon.series import check_site
from harness.errors import UsageError
from harness.settings.settings import Carbon


@pytest.mark.parametrize(
    ("site", "message"),
    [
        ({"country": "QQQ"}, "carbon.country: .*'QQQ'.*known .*DEU.*ZWE"),
        ({"country": "Germany"}, r"did you mean 'DEU' \(Germany\)"),
        ({"country": "deu"}, r"did you mean 'DEU' \(Germany\)"),
        ({"country": "GERMNAY"}, r"did you mean 'DEU' \(Germany\)"),
        ({"country": "USA", "region": "calfornia"}, "did you mean 'california'"),
        ({"country": "USA", "region": "California"}, "did you mean 'california'"),
        ({"country": "USA", "region": "_unit"}, "carbon.region: .*'_unit' in USA"),
        ({"country": "CAN", "region": "ohio"}, "carbon.region: .*'ohio' in CAN"),
        ({"country": "SWE", "region": "atlantis"}, "'atlantis' in SWE; known: se1, se2, se3, se4"),
        ({"country": "SWE", "region": "no1"}, "carbon.region: .*'no1' in SWE"),
        ({"country": "SWE", "region": "SE3"}, "did you mean 'se3'"),
        ({"country": "CHN", "region": "tibet"}, "carbon.region: .*'tibet' in CHN"),
        ({"country": "DEU", "region": "hessen"}, "regions of CAN, CHN, FIN, NOR, SWE, USA only"),
        ({"cloud": "gcp/europe-west11"}, "carbon.cloud: .*did you mean 'gcp/europe-west1"),
        ({"cloud": "aws/eu-west-1"}, "carbon.cloud: .*'aws/eu-west-1'"),
        ({"cloud": "gcp"}, "carbon.cloud: .*'gcp'; known: .*gcp/us-west4"),
    ],
)
def test_place_without_data_is_refused(site, message) -> None:
    for refuse in (carbon_factor, check_site):
        with pytest.raises(UsageError, match=message):
            refuse(Carbon(**site))


def test_further_places_are_named_as_one_would_say_them() -> None:
    names = ("FRA", "USA/ohio", "SWE/se3", "gcp/us-west1")
    found = further_sites(Carbon(country="DEU", pue=1.2, also=names))
    sites = [
        {"country": "FRA"},
        {"country": "USA", "region": "ohio"},
        {"country": "SWE", "region": "se3"},
        {"cloud": "gcp/us-west1"},
    ]
    expected = [carbon_factor(Carbon(**site, pue=1.2)) for site in sites]
    assert found == dict(zip(names, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Francce", "carbon.also.country: .*did you mean 'FRA'"),
        ("usa/ohio", "carbon.also.country: .*did you mean 'USA'"),
        ("USA/ohia", "carbon.also.region: .*did you mean 'ohio'"),
        ("USA/", "carbon.also.region: .*'' in USA"),
        ("gcp/europe-wst1", "carbon.also.cloud: .*did you mean 'gcp/europe-west1'"),
        ("", "carbon.also.country: .*''"),
    ],
)
def test_a_further_place_without_data_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_site(Carbon(also=(name,)))
