"""A worker's engine: the loop, its parts, and the stations, put together for one run of `work`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from atomiq._core.errors import WorkerFailed
from atomiq._core.settings import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from atomiq._wire.siblings import lives_here
from atomiq._wire.sync import Store
from atomiq.executors import hooks
from atomiq.executors.job_log import JobLog
from atomiq.executors.webhooks import Notifier
from atomiq.stations.budget import Budget
from atomiq.stations.rules import Rules
from atomiq.stations.task import Identity
from atomiq.worker.brain import Brain
from atomiq.worker.desk import Desk
from atomiq.worker.driver import Driver
from atomiq.worker.engine import Engine
from atomiq.worker.fork_sender import ForkSender
from atomiq.worker.horse import Horse
from atomiq.worker.keeper import Keeper, KeeperLoop, Page
from atomiq.worker.making import ForkedStations, Plan
from atomiq.worker.overrides import our_own, overridden
from atomiq.worker.own_store import own_store
from atomiq.worker.parts import Sender
from atomiq.worker.posts import Member
from atomiq.worker.reload import HandedOn, adopt, execute, left
from atomiq.worker.settle import Abandonment
from atomiq.worker.signals import Signals
from atomiq.worker.spawned import LogSetup, SpawnedStations, recipe_of
from atomiq.worker.status import DequeueStrategy
from atomiq.worker.upkeep import Upkeep

SHORTEST_UPKEEP_S = 1.0
"""RQ takes 0 for "whenever the loop comes round"; ours sleeps until something is due, and would spin."""


@our_own
class Driving(Horse):
    """The part of a worker that builds its engine."""

    engine: Engine
    queues: list[Any]
    lease: float
    grace: float | None
    kill_after: float
    worker_ttl: int
    max_abandoned: int
    abandoned: str
    maintenance_interval: int
    last_cleaned_at: datetime | None
    _ordered_queues: list[Any]
    _dequeue_strategy: DequeueStrategy
    _signals: Signals | None
    _incarnation: str
    _handed_on: HandedOn | None = None
    _own: Store | None = None
    _log_setup: LogSetup = ("INFO", DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT)
    imports: tuple[str, ...] = ()
    """Modules that spawned children import before they take work."""
    health_port: str = ""
    watched: tuple[str, ...] = ()

    def register_anew(self) -> None:
        """Write the worker's hash, which the server has lost."""
        raise NotImplementedError

    def stop_by_command(self) -> None:
        """The command to shut down has come."""
        raise NotImplementedError

    @property
    def _distinct_names(self) -> tuple[str, ...]:
        """Of its queues: somebody may have named one twice."""
        return tuple(dict.fromkeys(self.queue_names()))

    def _rules(self, burst: bool, max_jobs: int | None, max_idle_time: float | None) -> Rules:
        engine = self.engine
        return Rules(
            self._distinct_names,
            lease=self.lease,
            slots=1 if engine.inline else engine.forks,
            stations=sum(wanted for _, _, wanted in engine.stations()),
            burst=burst,
            max_jobs=max_jobs,
            max_idle_time=max_idle_time,
            grace=self.grace,
            kill_after=self.kill_after,
            upkeep_interval=max(self.maintenance_interval, SHORTEST_UPKEEP_S),
            killable=not engine.inline,
            extends=not engine.inline,
            killed_handler=self._has_killed_handler,
        )

    def _drive(self, brain: Brain, max_jobs: int | None) -> None:
        assert self._signals is not None
        store, ttl = self._own_store(), self.worker_ttl + 60
        upkeep = self._upkeep(store, self._own_maintenance())
        abandonment = Abandonment(self.abandoned, self.max_abandoned)
        job_log = self._job_log()
        desk = Desk(store, self.name, self.lease, ttl, abandonment, job_log, self.log)
        keeper = self._keeper(hears=True) if self.engine.inline else None
        budget = None if max_jobs is None or not self.engine.stations() else Budget(max_jobs)
        makers = self._makers(Plan(self.engine.recycling, budget, brain.rules.burst or bool(brain.rules.max_idle_time)))
        try:
            if keeper is not None:
                keeper.start()
            driver = Driver(
                self,
                self.engine,
                brain,
                store,
                self._signals,
                upkeep,
                desk,
                job_log,
                self.log,
                keeper,
                makers,
                budget,
                self.health_port,
                self.watched,
            )
            if self._handed_on is not None:
                driver.adopt([adopt(one) for one in self._handed_on.members])
            self._run_driver(driver)
            if driver.left is not None:
                lines = tuple(line for maker in makers for line in maker.lines())
                done = brain.executed if budget is None or max_jobs is None else max_jobs - _unused(budget, driver.left)
                if self._handed_on is not None:
                    done += self._handed_on.done
                    lines += self._handed_on.still_needed(driver.left)
                if keeper is not None:  # or it would be a zombie of the next program's, which knows nothing of it
                    keeper.close()
                self._signals.leave_to_next()
                execute(HandedOn(self.name, self._incarnation, done, tuple(map(left, driver.left)), lines))
        finally:
            if keeper is not None:
                keeper.close()
            for maker in makers:
                maker.close()
            if budget is not None:
                budget.close()
        if driver.failed:
            raise WorkerFailed(f"worker {self.name} can't work: {driver.failed}")

    def _run_driver(self, driver: Driver) -> None:
        if not self.engine.inline:
            driver.run()
            return
        hooks.start_child(inline=True)
        try:
            driver.run()
        finally:
            hooks.stop_child()

    def _makers(self, plan: Plan) -> list[ForkedStations | SpawnedStations]:
        made: list[ForkedStations | SpawnedStations] = []
        for kind, slots, wanted in self.engine.stations():
            if kind == "spawn":
                recipe = recipe_of(self, self._carried_options(), self.imports, self._log_setup, self._dequeue_strategy)
                made.append(SpawnedStations(recipe, wanted, plan))
            else:
                made.append(ForkedStations(self, kind, slots, wanted, plan))
        return made

    def _carried_options(self) -> dict[str, Any]:
        """Arguments with which a spawned child makes a worker object like this one."""
        return {
            "queues": self.queue_names(),
            "name": self.name,
            "default_result_ttl": self.default_result_ttl,
            "worker_ttl": self.worker_ttl,
            "job_class": self.job_class,
            "queue_class": self.queue_class,
            "log_job_description": self.log_job_description,
            "exception_handlers": self._exc_handlers,
            "serializer": self.serializer,
            "lease": self.lease,
            "executor": self.engine.executors,
        }

    def _job_log(self, notifier: Notifier | None = None) -> JobLog:
        return JobLog(self.log, self.name, self.log_job_description, self.log_result_lifespan, notifier)

    def sender(self, unshare: Callable[[], Iterator[int]]) -> Sender:
        """Sends the webhooks of jobs that the loop settles. `unshare`: what a child must not keep."""
        if self.engine.inline:
            return self.webhooks
        return ForkSender(self.restore_claimed, self.job_class, self.log, unshare)

    def _keeper(self, hears: bool) -> Keeper:
        """Extends the lease of a job that runs in this process. `hears`: the worker's channel, too."""
        page = Page()

        def connect() -> Store:
            return own_store(self.connection, self.name, self.lease)

        loop = KeeperLoop(connect, page, self.name, self.lease, self.worker_ttl + 60, self.log, hears)
        return Keeper(loop, page, reaches=not lives_here(self.connection))

    def run_maintenance_tasks(self) -> None:
        """What has to be done every so often (RQ)."""
        raise NotImplementedError

    def _upkeep(self, store: Store, instead: Callable[[], None] | None = None) -> Upkeep:
        policy = (self.max_abandoned, self.abandoned)
        return Upkeep(store, self.name, self._distinct_names, self.log, *policy, self._cleaned, instead)

    def _own_maintenance(self) -> Callable[[], None] | None:
        changed = overridden(self, "run_maintenance_tasks", "clean_registries")
        return self.run_maintenance_tasks if changed else None

    def _cleaned(self) -> None:
        self.last_cleaned_at = datetime.now(UTC)

    def _own_store(self) -> Store:
        if self._own is None:
            self._own = own_store(self.connection, self.name, self.lease)
        return self._own

    # --- what stations are told

    def station_identity(self, kind: str, slots: int, token: str) -> Identity:
        """Whom a station's claims are for. Only those of one executor claim."""
        return Identity(
            claims=kind == self.engine.claimant,
            worker=self.name,
            token=token,
            lease_ms=round(self.lease * 1000),
            rules=Rules(self._distinct_names, lease=self.lease, slots=slots),
            reorder=self._reordered if self._reorders else None,
            one_by_one=self._reorders,
            log=self.log,
            job_log=self._job_log(self.webhooks),
        )

    def station_store(self) -> Store:
        """The store whose server a station connects to."""
        return self._own_store()

    # --- the order of the queues

    def work_by(self, strategy: DequeueStrategy) -> None:
        """In a child that was started as a fresh interpreter: the strategy of the worker's `work`."""
        self._dequeue_strategy = strategy

    def reorder_queues(self, reference_queue: Any) -> None:
        """Change `_ordered_queues` after a job of `reference_queue` was taken, by the strategy (RQ)."""
        if self._dequeue_strategy is DequeueStrategy.ROUND_ROBIN:
            self._rotate_queues(reference_queue)
        elif self._dequeue_strategy is DequeueStrategy.RANDOM:
            random.shuffle(self._ordered_queues)

    def _rotate_queues(self, served: Any) -> None:
        position = [queue.name for queue in self._ordered_queues].index(served.name)
        self._ordered_queues = self._ordered_queues[position + 1 :] + self._ordered_queues[: position + 1]

    @property
    def _reorders(self) -> bool:
        changed = "reorder_queues" in vars(self) or type(self).reorder_queues is not Driving.reorder_queues
        return changed or self._dequeue_strategy is not DequeueStrategy.DEFAULT

    def _reordered(self, order: Sequence[str], served: str) -> Sequence[str]:
        if not self._reorders:
            return order
        queue = next((queue for queue in self.queues if queue.name == served), None)
        if queue is not None:
            self.reorder_queues(queue)
        return [queue.name for queue in self._ordered_queues] or order


def _unused(budget: Budget, members: Sequence[Member]) -> int:
    """Of max_jobs: what no station has started."""
    return budget.left + sum(member.ledger.reserved for member in members)
