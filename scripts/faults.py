"""RQ 2.12's known faults: what happens there, what happens here, and the test that shows it. docs/rq-faults.md is made
from this, and a test checks that every fault is listed and that every test named here exists."""

from __future__ import annotations

from typing import NamedTuple

FAULTS_LEAD = """# RQ 2.12's faults, and what happens here

Situations in which RQ 2.12 loses a job (A), strands it (B), runs it twice or ends it in two ways (C), stops its workers
(D), leaves things behind (E) or gets a time wrong (F). Each was reproduced with RQ 2.12.0. The last column names the
test that makes the situation here. RQ's own workers keep these faults when they share a database with atomiq's;
`atomiq doctor` finds and mends what they leave.

"""


class Fault(NamedTuple):
    """`tests`: files, and functions in them."""

    name: str
    there: str
    here: str
    tests: tuple[str, ...]


LOST = "tests/known_faults/test_lost.py::"
STRANDED = "tests/known_faults/test_stranded.py::"
TWICE = "tests/known_faults/test_run_twice.py::"
BLOCKED = "tests/known_faults/test_blocked.py::"
LEAKS = "tests/known_faults/test_leaks.py::"
STUCK = "tests/interop/test_stuck_with_them.py::"
TIMES = "tests/known_faults/test_times.py::"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "A1",
        "A worker of several queues dies between its pop and the start: the job is nowhere.",
        "Taking a job opens its execution, with a lease, in the same step; it runs again when the lease is over.",
        (f"{LOST}test_a1_a_worker_that_dies_right_after_its_pop_from_several_queues",),
    ),
    Fault(
        "A2",
        "A polite SIGTERM between pop and start loses or strands the job, with exit code 0.",
        "A worker that ends gives back what it has taken.",
        (f"{LOST}test_a2_sigterm_at_any_moment_of_taking_jobs",),
    ),
    Fault(
        "A3",
        "The reply to a pop is lost; the client pops again, and the first job is nowhere.",
        "A repeated claim says again what it has claimed.",
        (f"{LOST}test_a3_the_reply_to_a_claim_is_lost", "tests/faults/test_matrix.py"),
    ),
    Fault(
        "A4",
        "A job is in the schedule before its hash exists; a tick in between drops it.",
        "Scheduling is one step.",
        (
            f"{LOST}test_a4_a_job_that_is_due_while_it_is_being_scheduled",
            f"{LOST}test_a4b_scheduling_is_one_command",
        ),
    ),
    Fault(
        "A5",
        "Requeue is three steps, and the failure TTL goes on while the job waits.",
        "Requeue is one step, and ends the TTL.",
        (f"{LOST}test_a5_requeue_ends_the_failure_ttl",),
    ),
    Fault(
        "A6",
        "compact() moves the queue aside and back, id by id; a crash loses it.",
        "It takes away ids without a job, and touches nothing else.",
        (f"{LOST}test_a6_compact_is_one_step",),
    ),
    Fault(
        "A7",
        "A job in another queue's list is thrown away by the cleaning of its intermediate list.",
        "It runs, and belongs to the queue it was found in.",
        (f"{LOST}test_a7_a_job_of_one_queue_in_the_list_of_another",),
    ),
    Fault(
        "A8",
        "An unknown dequeue strategy is found out after the first pop.",
        "It is refused before anything is claimed.",
        ("tests/worker/test_work.py::test_an_unknown_strategy_claims_nothing",),
    ),
    Fault(
        "A9",
        "Jobs enqueued while their queue is deleted vanish, and their hashes say queued.",
        "Deleting is done in steps that each leave every job whole or gone.",
        (f"{LOST}test_a9_a_queue_that_is_deleted_while_jobs_arrive",),
    ),
    Fault(
        "B1",
        "A job whose worker died before the start waits 10 to 20 minutes in the intermediate list, then it is failed.",
        "Upkeep puts it back to the front of its queue after a minute, unless a living RQ worker may start it.",
        (f"{STUCK}test_our_worker_does_so_by_itself", f"{STUCK}test_a_killed_worker_of_theirs"),
    ),
    Fault(
        "B2",
        "A crash between a failure and the release of its dependants strands them.",
        "An end, and what it frees, are one step.",
        (f"{STRANDED}test_b2_an_end_and_what_it_frees_are_one_step",),
    ),
    Fault(
        "B3",
        "A child with allow_failure of a parent that has failed already waits for ever.",
        "It runs.",
        (f"{STRANDED}test_b3_allow_failure_on_a_parent_that_has_failed_already",),
    ),
    Fault(
        "B4",
        "Children of a parent that was deleted, emptied away, canceled, stopped, or has expired wait for ever.",
        "Of a parent that is gone, those that need it are canceled, those with allow_failure run; those of a canceled "
        "or stopped one run when it is enqueued again and ends.",
        (f"{STRANDED}test_b4_dependants_of_a_parent_that_will_never_finish",),
    ),
    Fault(
        "B5",
        "Delayed jobs wait for the one process that holds the scheduler's lock.",
        "Whichever worker comes by moves what is due.",
        (f"{STRANDED}test_b5_what_is_due_needs_no_scheduler",),
    ),
    Fault(
        "B6",
        "A job killed by a cold shutdown says started until its deadline and the next maintenance.",
        "It is back in its queue when the worker has ended.",
        (f"{STRANDED}test_b6_a_cold_shutdown_gives_its_job_back",),
    ),
    Fault(
        "C1",
        "A dependant that is registered while its parent ends makes the finished job fail or run again later.",
        "Neither step can come in between the other.",
        (f"{TWICE}test_c1_dependants_that_are_registered_while_their_parent_ends",),
    ),
    Fault(
        "C2",
        "A retry with an interval is scheduled before it leaves the started ones.",
        "It is one step.",
        (f"{TWICE}test_c2_a_retry_with_an_interval_is_one_step",),
    ),
    Fault(
        "C3",
        "Everybody who reads a registry also takes abandoned jobs back, without a lock: twice.",
        "Only workers do, in a step that finds each once; reading changes nothing.",
        (f"{TWICE}test_c3_many_processes_take_the_same_abandoned_jobs_back",),
    ),
    Fault(
        "C4",
        "A scheduler that was stopped goes on beside its successor: due jobs are enqueued twice.",
        "Anybody may move what is due; it is moved once.",
        (f"{TWICE}test_c4_many_processes_move_what_is_due",),
    ),
    Fault(
        "C5",
        "In a batch with a pipeline, and in every group, a child runs before its parent, and again after it.",
        "A child waits for its parent, wherever in the batch it stands.",
        (f"{TWICE}test_c5_dependencies_inside_one_batch", f"{TWICE}test_c5_installed_rq"),
    ),
    Fault(
        "C6",
        "A work horse that dies after its commit has its job failed, or retried, on top.",
        "What is said of an execution that has ended is refused.",
        (f"{TWICE}test_c6_a_child_that_dies_right_after_its_job_has_ended",),
    ),
    Fault(
        "C7",
        "The reply to an enqueue is lost; the client repeats it: twice in the queue, or a duplicate of itself.",
        "A repeated enqueue is recognised by its job's id and makes no second entry.",
        (f"{TWICE}test_c7_the_reply_to_an_enqueue_is_lost", "tests/faults/test_matrix.py"),
    ),
    Fault(
        "C8",
        "A child whose parent had finished stays among the parent's dependants, and runs again with it.",
        "It was never registered.",
        (f"{TWICE}test_c8_a_child_whose_parent_had_finished_before",),
    ),
    Fault(
        "C9",
        "Two cron processes enqueue each tick twice, and so does each restart.",
        "Each tick is decided on the server, once.",
        (
            "tests/cron/test_scheduler.py::test_two_schedulers_enqueue_once",
            "tests/cron/test_scheduler.py::test_a_restart_is_no_tick",
            "tests/cron/test_interop.py::test_what_rq_gets_wrong_with_two_schedulers",
        ),
    ),
    Fault(
        "C10",
        "A lost reply after the commit of a success: finished and failed.",
        "The repeated settlement is answered with `already`.",
        (f"{TWICE}test_c10_the_reply_to_an_end_is_lost",),
    ),
    Fault(
        "C11",
        "The note that an id was seen in the intermediate list outlives its stay: a later run is failed under way.",
        "A note counts for one stay only.",
        ("tests/lua/test_recover_stuck.py::test_a_second_stay_is_not_the_first",),
    ),
    Fault(
        "C12",
        "A job canceled or deleted on its way runs all the same; its hash is made anew.",
        "Before the start no claim finds it; later its end is refused.",
        (
            f"{TWICE}test_c12_a_job_that_is_canceled_or_deleted_while_it_runs",
            f"{TWICE}test_c12_a_job_that_is_canceled_before_it_is_taken",
        ),
    ),
    Fault(
        "C13",
        "A conflict while a repeating job ends costs a repetition.",
        "Counting and scheduling are in the step that ends it.",
        (f"{TWICE}test_c1_dependants_that_are_registered_while_their_parent_ends",),
    ),
    Fault(
        "C14",
        "A worker that was frozen overwrites the result of the second run.",
        "It has lost its lease: its settlement is refused as `not_yours`.",
        (f"{TWICE}test_c14_a_worker_that_was_frozen_longer_than_its_lease",),
    ),
    Fault(
        "D1",
        "An abandoned job with a broken failure callback ends worker after worker.",
        "The error is logged; the worker goes on.",
        (f"{BLOCKED}test_d1_an_abandoned_job_whose_failure_callback_is_broken",),
    ),
    Fault(
        "D2",
        "A raising on_stopped ends the worker.",
        "The job is stopped, the error is logged.",
        (f"{BLOCKED}test_d2_a_stopped_callback_that_raises",),
    ),
    Fault(
        "D3",
        "A hash without data, or with a status of a newer RQ, stops scheduler and workers.",
        "It is left alone or dropped from where it can't be; the others run.",
        (f"{BLOCKED}test_d3_a_hash_that_makes_no_sense",),
    ),
    Fault(
        "D4",
        "Retry(interval=[]) ends the worker.",
        "Refused with ValueError where it is made.",
        (f"{BLOCKED}test_d4_a_retry_without_any_interval",),
    ),
    Fault(
        "D5",
        "A cleaning lock that a dead worker left stops maintenance for 15 minutes.",
        "There is no lock; each kind of upkeep takes a turn that lasts one interval.",
        (f"{BLOCKED}test_d5_a_cleaning_lock_that_somebody_left",),
    ),
    Fault(
        "D6",
        "A message that is no command makes the worker deaf.",
        "It is logged and forgotten.",
        (f"{BLOCKED}test_d6_a_message_that_makes_no_sense",),
    ),
    Fault(
        "D7",
        "kill-horse or stop-job at the wrong moment kills the worker's own process group.",
        "Only a child that runs the job meant is killed.",
        (f"{BLOCKED}test_d7_kills_and_stops_at_any_moment",),
    ),
    Fault(
        "D8",
        "A worker that ends by an unexpected error has exit code 0.",
        "1.",
        ("tests/worker/test_shutdown.py::test_an_error_nobody_foresaw_ends_with_a_code",),
    ),
    Fault(
        "E1",
        "Result streams have no TTL, outlive deleted jobs, and grow to some 110 entries.",
        "They end with their job; the newest 10 are kept.",
        (f"{LEAKS}test_e1_results_end_with_their_job", f"{LEAKS}test_e1_results_do_not_pile_up"),
    ),
    Fault(
        "E2",
        "Canceled jobs are kept for ever.",
        "As long as failed ones.",
        (f"{LEAKS}test_e2_canceled_jobs_expire",),
    ),
    Fault(
        "E3",
        "failure_ttl=0 leaves an id without a job; -1 sorts first, as if expired.",
        "0 leaves nothing; -1 is kept.",
        (f"{LEAKS}test_e3_failure_ttl_zero_leaves_nothing", f"{LEAKS}test_e3_failure_ttl_for_ever"),
    ),
    Fault(
        "E4",
        "A job deleted between pop and start leaves a hash without data that blocks `unique` for ever.",
        "Nothing is written for a job that is gone.",
        (f"{LEAKS}test_e4_no_zombie_is_left_of_a_job_that_is_deleted_while_it_runs",),
    ),
    Fault(
        "E5",
        "Deferred jobs that expire count for ever.",
        "Upkeep drops them, from the registry and from their parents.",
        (f"{LEAKS}test_e5_a_deferred_job_that_expires",),
    ),
    Fault(
        "E6",
        "Sets of dependencies and dependants stay without their job.",
        "They end with it.",
        (f"{LEAKS}test_e6_nothing_of_a_job_outlives_it",),
    ),
    Fault(
        "E7",
        "Ids stay in intermediate lists for ever.",
        "Our workers use none; ids that RQ's left there, and that stand for nothing, are dropped.",
        ("tests/lua/test_recover_stuck.py::test_a_job_that_is_elsewhere_by_now",),
    ),
    Fault(
        "E8",
        "Executions that have expired make get_executions, cancel and delete raise.",
        "They are left out.",
        (f"{LEAKS}test_e8_executions_that_have_vanished",),
    ),
    Fault(
        "E9",
        "A job whose group is gone can't be deleted, and with result_ttl=0 its success becomes a failure.",
        "A group that is gone is no error.",
        (f"{LEAKS}test_e9_a_job_whose_group_is_gone",),
    ),
    Fault(
        "E10",
        "Two workers of one name share everything; one whose hash expired is never seen again.",
        "The second is refused; the other registers anew with its next beat.",
        (f"{LEAKS}test_e10_two_workers_of_one_name", f"{LEAKS}test_e10_a_living_worker_whose_hash_expired"),
    ),
    Fault(
        "E11",
        "A key for each id that was ever seen in an intermediate list lives for a day.",
        "What is noted goes when the id goes.",
        ("tests/lua/test_recover_stuck.py::test_notes_of_ids_that_left_are_forgotten",),
    ),
    Fault(
        "E12",
        "A stop that comes too late turns a later failure into stopped.",
        "A wish belongs to an execution, and ends with it.",
        (f"{LEAKS}test_e12_a_stop_that_comes_too_late",),
    ),
    Fault(
        "E13",
        "A crash inside suspend(ttl=...) suspends for ever.",
        "It is one step.",
        (f"{LEAKS}test_e13_suspending_for_a_time_is_one_step",),
    ),
    Fault(
        "E14",
        "Names of dead workers stay in the sets of queues that nobody serves.",
        "Whoever lists the workers clears them. Queues stay listed until they are deleted, as in RQ.",
        (f"{LEAKS}test_e14_workers_of_queues_that_nobody_serves_any_more",),
    ),
    Fault(
        "E15",
        "Failures with disable_default_exception_handler are in no registry and never expire.",
        "They are where failed jobs are.",
        (f"{LEAKS}test_e15_without_the_default_exception_handler",),
    ),
    Fault(
        "E16",
        "`ttl` of a waiting parent also ends its set of dependants.",
        "It doesn't.",
        (f"{LEAKS}test_e16_dependants_do_not_expire_with_the_patience_of_their_parent",),
    ),
    Fault(
        "F1",
        "Local times and repeats are an hour off in winter.",
        "They are right, in every zone.",
        (f"{TIMES}test_f1_local_times_in_winter_and_summer", f"{TIMES}test_f1_a_repeat_is_never_due_in_the_past"),
    ),
    Fault(
        "F2",
        "Lists of intervals are used from the end, or aligned to it.",
        "In order; the last one counts on.",
        (f"{TIMES}test_f2_intervals_are_used_in_order",),
    ),
    Fault(
        "F3",
        "Due times are cut to seconds; enqueue_at ignores depends_on and unique.",
        "Milliseconds count, and so do both options.",
        (f"{TIMES}test_f3_fractions_of_a_second_count", f"{TIMES}test_f3_enqueue_at_heeds_depends_on_and_unique"),
    ),
)

NOT_HERE = ("M1", "M2", "M3", "M4")
"""Of a rate limiter that RQ 2.12 doesn't have."""
