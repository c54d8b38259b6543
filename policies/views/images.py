"""The pipeline that builds the machines' image: recipes, build instances, and distributions."""

from __future__ import annotations

from typing import Final

from policies.graph import Graph, Resource

COMPONENT: Final = "aws:imagebuilder/component:Component"
RECIPE: Final = "aws:imagebuilder/imageRecipe:ImageRecipe"
BUILDER: Final = "aws:imagebuilder/infrastructureConfiguration:InfrastructureConfiguration"
DISTRIBUTION: Final = "aws:imagebuilder/distributionConfiguration:DistributionConfiguration"
PIPELINE: Final = "aws:imagebuilder/imagePipeline:ImagePipeline"


def pipelines(graph: Graph) -> list[Resource]:
    """Image pipelines."""
    return graph.of(PIPELINE)


def recipes(graph: Graph) -> list[Resource]:
    """Image recipes."""
    return graph.of(RECIPE)


def builders(graph: Graph) -> list[Resource]:
    """Machines that build images."""
    return graph.of(BUILDER)
