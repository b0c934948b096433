"""The rules of writing settings: what is refused, what waits, what changes when a build or a promotion ends.

The API's documents say that a write is applied some time after it was accepted, that it may be queued instead, and that
a promotion gives the deployment the environment's settings. When a write is queued they leave open: here it is while
the deployment builds or a promotion runs.
"""

from typing import Literal, TypeAlias

from tests.simulators.api import RefusedError, Reply
from tests.simulators.baseten.settings import (
    ChainletUpdate,
    Converging,
    Values,
    check_range,
    invalid,
)
from tests.simulators.baseten.specs import DeploymentStatus
from tests.simulators.baseten.world import (
    BUILDING,
    ChainEnvironment,
    Deployment,
    Environment,
    Promotion,
    Schedule,
    World,
)

Outcome: TypeAlias = Literal["ACCEPTED", "QUEUED", "UNCHANGED"]

_REPLICAS = frozenset({"min_replica", "max_replica"})


def write_deployment(world: World, deployment: Deployment, changes: Values) -> Outcome:
    """Write settings of a deployment."""
    environments = world.model(deployment.model_id).environments
    if deployment.environment is not None:
        _check_access(deployment.environment, restricted=environments[deployment.environment].restricted)
    if deployment.development and world.options.strict_development and _REPLICAS & changes.keys():
        raise invalid(
            "development deployments have a single replica and no autoscaling: min_replica is fixed at 0 and max_replica at 1"
        )
    return _write(world, deployment.settings, changes, held=_held(world, deployment))


def write_environment(world: World, environment: Environment, changes: Values) -> Outcome:
    """Write settings of an environment of a model, which its deployment follows where no schedule's window is open."""
    _check_access(environment.name, restricted=environment.restricted)
    outcome = _write(world, environment.settings, changes, held=environment.held)
    if outcome == "ACCEPTED" and environment.current is not None:
        environment.current.settings.write(environment.passed_on(changes), delay=world.options.converge)
    return outcome


def write_chainlets(world: World, chain_id: str, environment_name: str, updates: list[ChainletUpdate]) -> Outcome:
    """Write settings of chainlets: all or, when one is refused, none."""
    environment = world.chain_environment(chain_id, environment_name)
    _check_access(environment.name, restricted=environment.restricted)
    for update in updates:
        if update.chainlet_name not in environment.chainlets:
            raise invalid(f"chainlet {update.chainlet_name} does not exist in environment {environment.name}")
        _check(world, environment.chainlets[update.chainlet_name].settings, update.autoscaling_settings.changes())
    outcomes: set[Outcome] = set()
    for update in updates:
        chainlet = environment.chainlets[update.chainlet_name]
        held = environment.promoting or chainlet.status in BUILDING
        outcomes.add(_write(world, chainlet.settings, update.autoscaling_settings.changes(), held=held))
    order: tuple[Outcome, ...] = ("QUEUED", "ACCEPTED")
    return next((outcome for outcome in order if outcome in outcomes), "UNCHANGED")


def set_deployment_status(
    world: World, deployment: Deployment, status: DeploymentStatus, replicas: int | None = None
) -> None:
    """Change a deployment's status and active replicas; the end of a build applies what was queued."""
    built = deployment.status in BUILDING and status not in BUILDING
    deployment.status, deployment.replicas = status, replicas
    if not built:
        return
    if not _held(world, deployment):
        deployment.settings.release()
    for environment in world.model(deployment.model_id).environments.values():
        if environment.current is deployment and not environment.held:
            deployment.settings.set(environment.passed_on(environment.settings.release()))


def start_promotion(environment: Environment, promotion: Promotion) -> None:
    """Start to promote a deployment, or change how far the promotion is."""
    before = environment.promotion
    if before is not None and before.candidate is promotion.candidate:
        promotion.settings = before.settings | promotion.settings
    environment.promotion = promotion


def finish_promotion(world: World, environment: Environment, *, succeeded: bool) -> None:
    """End a promotion: the environment's settings overwrite those of the deployment that is now its own.

    Changes of the settings that came with the promotion are the environment's from then on.
    """
    promotion, environment.promotion = environment.promotion, None
    if promotion is None:
        return
    candidate = promotion.candidate
    if succeeded:
        environment.settings.release()
        environment.settings.set(promotion.settings)
        candidate.settings.release()
        if environment.current is not None and environment.current is not candidate:
            _clean_up(environment.current, environment)
        world.model(environment.model_id).attach(candidate, environment.name)
        environment.current = candidate
        candidate.settings.set(environment.in_force)
        return
    if not _held(world, candidate):
        candidate.settings.release()
    if not environment.held:
        queued = environment.settings.release()
        if environment.current is not None:
            environment.current.settings.set(environment.passed_on(queued))


def open_window(environment: Environment, schedule: Schedule) -> None:
    """Let a schedule override settings of the deployment that serves; those of the environment stay as they are."""
    close_window(environment)
    environment.schedules[schedule.id] = schedule
    environment.window = schedule
    if environment.current is not None:
        environment.current.settings.set(schedule.settings)


def close_window(environment: Environment) -> None:
    """End what a schedule overrides, if one does: the deployment has the environment's settings again."""
    window, environment.window = environment.window, None
    if window is not None and environment.current is not None:
        own = environment.settings.accepted
        environment.current.settings.set({name: own[name] for name in window.settings})


def set_chainlet_status(
    world: World, chain_id: str, environment: str, name: str, status: DeploymentStatus, replicas: int | None = None
) -> None:
    """Change a chainlet's status and active replicas; the end of a build applies what was queued."""
    chainlet = world.chainlet(chain_id, environment, name)
    built = chainlet.status in BUILDING and status not in BUILDING
    chainlet.status, chainlet.replicas = status, replicas
    if built and not world.chain_environment(chain_id, environment).promoting:
        chainlet.settings.release()


def finish_chain_promotion(environment: ChainEnvironment, *, succeeded: bool) -> None:
    """End the promotion of a chain, if there is one; its end applies what was queued."""
    promotion, environment.promotion = environment.promotion, None
    if promotion is None:
        return
    if succeeded:
        environment.generation += 1
    for chainlet in environment.chainlets.values():
        if chainlet.status not in BUILDING:
            chainlet.settings.release()


def _clean_up(replaced: Deployment, environment: Environment) -> None:
    """Do to a replaced deployment what the environment's promotion settings say."""
    match environment.cleanup:
        case "SCALE_TO_ZERO":
            replaced.status, replaced.replicas = "SCALED_TO_ZERO", None
        case "DEACTIVATE":
            replaced.status, replaced.replicas = "INACTIVE", None
        case "KEEP":
            pass


def _held(world: World, deployment: Deployment) -> bool:
    """Tell whether writes to a deployment wait: for its build, or for the end of its promotion."""
    promotions = [environment.promotion for environment in world.model(deployment.model_id).environments.values()]
    promoted = any(
        promotion is not None and promotion.running and promotion.candidate is deployment for promotion in promotions
    )
    return promoted or deployment.status in BUILDING


def _check_access(environment: str, *, restricted: bool) -> None:
    if restricted:
        message = f"environment {environment} is restricted: this key may not change it"
        raise RefusedError(Reply(403, {"code": "FORBIDDEN", "message": message}))


def _check(world: World, settings: Converging, changes: Values) -> None:
    check_range(changes, settings.target | changes, world.options.max_replica_cap)


def _write(world: World, settings: Converging, changes: Values, *, held: bool) -> Outcome:
    _check(world, settings, changes)
    if not settings.differs(changes):
        return "UNCHANGED"
    if held:
        settings.queue(changes)
        return "QUEUED"
    settings.write(changes, delay=world.options.converge)
    return "ACCEPTED"
