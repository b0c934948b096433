"""The writes and reads of the reference, addressed to the simulator's default world, and the reference's examples."""

from collections.abc import Callable

DEPLOYMENTS = "/v1/models/m-greeter/deployments"
ENVIRONMENT = "/v1/models/m-greeter/environments/production"
CHAIN_ENVIRONMENT = "/v1/chains/c-hello/environments/production"

SETTINGS_EXAMPLE = """{
  "min_replica": 0,
  "max_replica": 7,
  "autoscaling_window": 600,
  "scale_down_delay": 120,
  "concurrency_target": 2,
  "target_utilization_percentage": 70,
  "target_in_flight_tokens": 40000
}"""
"""Example of the pages about a deployment's settings, to the letter."""

CHAINLET_EXAMPLE = """{
  "updates": [
    {
      "autoscaling_settings": {
        "autoscaling_window": 800,
        "concurrency_target": 4,
        "max_replica": 3,
        "min_replica": 2,
        "scale_down_delay": 63,
        "target_in_flight_tokens": null,
        "target_utilization_percentage": null
      },
      "chainlet_name": "HelloWorld"
    }
  ]
}"""
"""Example of the page about chainlets, to the letter."""

LATER_CHAINLET_EXAMPLE = CHAINLET_EXAMPLE.replace(
    '"max_replica": 3,', '"max_replica": 3,\n        "max_scale_down_rate": null,'
)
"""The same after `max_scale_down_rate` was added to the API."""

TWO_CHAINLETS_EXAMPLE = """{
  "updates": [
    {
      "autoscaling_settings": {
        "autoscaling_window": null,
        "concurrency_target": null,
        "max_replica": null,
        "max_scale_down_rate": null,
        "min_replica": 0,
        "scale_down_delay": null,
        "target_in_flight_tokens": null,
        "target_utilization_percentage": null
      },
      "chainlet_name": "HelloWorld"
    },
    {
      "autoscaling_settings": {
        "autoscaling_window": null,
        "concurrency_target": null,
        "max_replica": null,
        "max_scale_down_rate": null,
        "min_replica": 0,
        "scale_down_delay": null,
        "target_in_flight_tokens": null,
        "target_utilization_percentage": null
      },
      "chainlet_name": "RandInt"
    }
  ]
}"""
"""Second example of the page about chainlets, to the letter."""

EARLIER_TWO_CHAINLETS_EXAMPLE = TWO_CHAINLETS_EXAMPLE.replace('        "max_scale_down_rate": null,\n', "")
"""The same before `max_scale_down_rate` was added to the API."""

CHAINLET_FIELD_EXAMPLE = """{
  "updates": [
    {
      "chainlet_name": "HelloWorld",
      "autoscaling_settings": {
        "autoscaling_window": 800,
        "concurrency_target": 3,
        "max_replica": 2,
        "min_replica": 1,
        "scale_down_delay": 60,
        "target_in_flight_tokens": null,
        "target_utilization_percentage": null
      }
    }
  ]
}"""
"""Example of the field `autoscaling_settings` of one update, in the request around it."""

ENVIRONMENT_EXAMPLE = f'{{"autoscaling_settings": {SETTINGS_EXAMPLE}}}'

VALID = {
    "min_replica": 1,
    "max_replica": 9,
    "autoscaling_window": 600,
    "scale_down_delay": 120,
    "concurrency_target": 2,
    "target_utilization_percentage": 60,
    "target_in_flight_tokens": 40000,
    "max_scale_down_rate": 25,
}
"""A value of each field that differs from the platform's default."""


def plain(settings: object) -> object:
    return settings


def in_environment(settings: object) -> object:
    return {"autoscaling_settings": settings}


def in_batch(settings: object) -> object:
    return {"updates": [{"chainlet_name": "HelloWorld", "autoscaling_settings": settings}]}


WRITES: dict[str, tuple[str, Callable[[object], object]]] = {
    "development": (f"{DEPLOYMENTS}/development/autoscaling_settings", plain),
    "production": (f"{DEPLOYMENTS}/production/autoscaling_settings", plain),
    "by id": (f"{DEPLOYMENTS}/d-free/autoscaling_settings", plain),
    "environment": (ENVIRONMENT, in_environment),
    "chainlets": (f"{CHAIN_ENVIRONMENT}/chainlet_settings/autoscaling_settings", in_batch),
}
"""Path of each write and how it wraps settings."""

RENAME = "/v1/models/m-greeter"

READS = (
    "/v1/teams",
    "/v1/teams/t-default",
    "/v1/teams/t-default/models",
    "/v1/models",
    "/v1/models/m-greeter",
    DEPLOYMENTS,
    f"{DEPLOYMENTS}/development",
    f"{DEPLOYMENTS}/production",
    f"{DEPLOYMENTS}/d-free",
    "/v1/models/m-greeter/environments",
    ENVIRONMENT,
    "/v1/chains",
    "/v1/chains/c-hello",
    "/v1/chains/c-hello/environments",
    CHAIN_ENVIRONMENT,
)
