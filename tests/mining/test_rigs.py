"""The catalogue, rigs of one's own, fleets."""

from pathlib import Path

import pytest

from marketfeed.errors import ConfigError
from marketfeed.mining.coins import COINS
from marketfeed.mining.rigs import Rig, Totals, catalogue, fleet, load_rigs, make_rig, rig, totals


@pytest.mark.parametrize(
    ("id", "name", "algorithm", "hashrate_hs", "watts"),
    [
        ("s19-95t", "Antminer S19 95T", "SHA-256d", 95e12, 3250),
        ("s19jpro", "Antminer S19j Pro", "SHA-256d", 104e12, 3068),
        ("s21", "Antminer S21", "SHA-256d", 200e12, 3500),
        ("s21xp", "Antminer S21 XP", "SHA-256d", 270e12, 3645),
        ("s23hyd", "Antminer S23 Hyd", "SHA-256d", 580e12, 5510),
        ("m60s", "Whatsminer M60S", "SHA-256d", 186e12, 3441),
        ("l9", "Antminer L9 16G", "Scrypt", 16e9, 3360),
        ("ks5pro", "Antminer KS5 Pro", "kHeavyHash", 21e12, 3150),
        ("z15pro", "Antminer Z15 Pro", "Equihash", 840e3, 2780),
        ("x5", "Antminer X5", "RandomX", 212e3, 1350),
        ("e9pro", "Antminer E9 Pro", "Etchash", 3.68e9, 2200),
        ("rtx4090-etchash", "RTX 4090, Etchash", "Etchash", 132e6, 350),
        ("rtx4090-kawpow", "RTX 4090, KawPow", "KawPow", 75e6, 350),
    ],
)
def test_the_catalogue_of_section_3(id: str, name: str, algorithm: str, hashrate_hs: float, watts: float) -> None:
    found = rig(id)
    assert (found.id, found.name, found.algorithm, found.hashrate_hs, found.watts, found.count) == (
        id,
        name,
        algorithm,
        hashrate_hs,
        watts,
        1,
    )


def test_every_entry_says_where_it_is_from_and_mines_a_known_coin() -> None:
    mined = {one.algorithm for one in COINS.values()}
    assert len(catalogue()) == 38
    for one in catalogue().values():
        assert one.source.startswith("nameplate, "), one.id
        assert one.date == "2026-11", one.id
        assert one.algorithm in mined, one.id


@pytest.mark.parametrize(
    ("id", "said"), [("s21pr", "did you mean s21pro"), ("abacus-9000-zz", "give its hashrate, power and algorithm")]
)
def test_an_unknown_rig_is_refused_with_the_nearest(id: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rig(id)


def test_a_rig_of_texts() -> None:
    assert make_rig("100 TH/s", "3kW", "sha256", name="attic") == Rig(
        id="own", name="attic", algorithm="SHA-256d", hashrate_hs=1e14, watts=3000
    )


def test_a_fleet() -> None:
    found = fleet("s21xp*10, s19pro*3,m60s")
    assert [(one.id, one.count) for one in found] == [("s21xp", 10), ("s19pro", 3), ("m60s", 1)]
    assert totals(found) == Totals(
        algorithm="SHA-256d", hashrate_hs=2700e12 + 330e12 + 186e12, watts=36_450 + 9_750 + 3_441, count=14
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s21xp*0", r"'s21xp\*0' has no count from 1 up; write it as s21xp\*10"),
        ("s21xp*", "no count"),
        ("s21xp*-3", "no count"),
        ("s21xp*2.5", "no count"),
        ("s21xp*²", "no count"),
        ("s21xp*99999999", "no count"),
        ("s21xp,s21xp*2", "stands twice"),
        ("", "no rig is called ''"),
        ("s21xq*2", "did you mean s21xp"),
    ],
)
def test_bad_fleets_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fleet(text)


def test_a_fleet_of_different_algorithms_has_no_total() -> None:
    with pytest.raises(ConfigError, match="mixes SHA-256d and Scrypt"):
        totals(fleet("s21xp,l9"))
    with pytest.raises(ConfigError, match="has no rigs"):
        totals([])


OWN = """
[attic-1]
name = "Attic"
algorithm = "scrypt"
hashrate = "9.5 GH/s"
power = "3425 W"

[s21xp]
algorithm = "SHA-256d"
hashrate = "262 TH/s"
power = "3600 W"
source = "measured at the wall"
date = "2026-10"
"""


def test_rigs_of_ones_own_stand_before_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "rigs.toml"
    path.write_text(OWN)
    own = load_rigs(path)
    assert own["attic-1"] == Rig(id="attic-1", name="Attic", algorithm="Scrypt", hashrate_hs=9.5e9, watts=3425)
    assert own["s21xp"].name == "s21xp"
    assert rig("S21XP", own).source == "measured at the wall"
    assert fleet("attic-1*2,l9", own)[0].count == 2
    assert load_rigs(str(path)) == own


GOOD = 'algorithm = "scrypt"\nhashrate = "9 GH/s"\npower = "3 kW"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a", "is not TOML"),
        ("\xff", "is not TOML"),
        ("answer = 42", r"table \[answer\]: a rig is a table"),
        ("[a]\n" + GOOD + 'colour = "red"', r"table \[a\]: there is no key 'colour'"),
        ("[a]\n" + GOOD.replace("power", "powr"), "there is no key 'powr'; did you mean power"),
        ("[a]\n" + GOOD.replace('"3 kW"', "3000"), r"table \[a\], key power: write it as text with its unit"),
        ('[a]\npower = "3 kW"', "algorithm and hashrate missing"),
        ("[a]\n" + GOOD.replace("GH/s", "GB/s"), r"table \[a\]: hashrate '9 GB/s': 'GB/s' is not a unit"),
        (
            "[a]\n" + GOOD.replace("scrypt", "script"),
            r"table \[a\]: no algorithm is called 'script'; did you mean scrypt",
        ),
        ('["My Rig"]\n' + GOOD, r"table \[My Rig\]: an id is of a-z, 0-9 and dashes"),
        ("[a.b]\n" + GOOD, r"table \[a\]: there is no key 'b'"),
    ],
)
def test_bad_files_are_refused_saying_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, "latin-1")
    with pytest.raises(ConfigError, match=said) as caught:
        load_rigs(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        load_rigs(tmp_path / "nowhere.toml")
