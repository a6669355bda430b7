from importlib.resources import files

import pytest

from labelnoise.experiments import load_recipe, parse_recipe

DIGITS = (files("labelnoise.experiments") / "recipes" / "digits.toml").read_text()


def test_the_packaged_recipe_is_whole():
    recipe = load_recipe("digits")
    assert [loss.name for loss in recipe.losses] == ["cce", "mae", "gce", "pruned_gce"]
    assert recipe.losses[2].settings == {"q": 0.7}
    assert recipe.rates == [0.2, 0.4]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 80", "epoch = 80", "unknown setting 'epoch'; did you mean 'epochs'"),
        ("epochs = 80", "epochs = 'many'", "recipe setting epochs: .*valid integer.* got 'many'"),
        ("rates = [0.2, 0.4]", "rates = [0.2, 1.4]", "recipe setting rates.1: .*less than or equal to 1, got 1.4"),
        ("at_rate = 0.4", "", "recipe setting learning_rate.at_rate: Field required"),
        ("epochs = 80", "epochs = ", "recipe is not TOML: .*line"),
    ],
)
def test_mistakes_are_named_in_one_line(old, new, message):
    assert old in DIGITS
    with pytest.raises(ValueError, match=message) as error:
        parse_recipe(DIGITS.replace(old, new))
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value)


def test_an_unknown_recipe_suggests_the_nearest():
    with pytest.raises(ValueError, match="unknown recipe 'digit'; did you mean 'digits'"):
        load_recipe("digit")
