"""What pyproject.toml can't say: rubrics and samples lie beside the packages here, and inside of one in a wheel."""

from setuptools import find_packages, setup

DATA = {"curate.rubrics": "rubrics", "curate.samples": "samples"}

setup(packages=[*find_packages(include=["curate*", "trainer*", "evalkit*"]), *DATA], package_dir=DATA)
