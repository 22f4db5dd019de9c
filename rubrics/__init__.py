"""Rubrics that come with acidtest: data, one YAML file each."""
