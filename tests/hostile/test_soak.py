"""A minute of the soak; tests/soak.sh has more of them."""
import argparse

from soak import soak


def test_a_minute_of_everything_leaves_nothing_and_all_is_accounted_for(build_dir, model_folder, tmp_path):
    arguments = argparse.Namespace(minutes=1, seed=1, no_faults=False, build_dir=build_dir, model=model_folder)
    assert soak(arguments, tmp_path) == []
