"""Tasks that a worker runs, and the results that come back over rpc://."""

import time

import pytest
import tasks
from celery.exceptions import TaskRevokedError

pytestmark = pytest.mark.usefixtures("worker")
PATIENCE_SECONDS = 30


def result(pending):
    return pending.get(timeout=PATIENCE_SECONDS)


def test_a_task_returns_its_result():
    assert result(tasks.add.delay(2, 3)) == 5


def test_many_tasks_all_return():
    pending = [tasks.add.delay(n, n) for n in range(100)]
    assert [result(each) for each in pending] == [2 * n for n in range(100)]


@pytest.mark.parametrize("value", [None, [], {"nested": {"list": [1, 2.5, None, "ä"]}}, "x" * 1_000_000],
                         ids=["none", "empty", "nested", "large"])
def test_arguments_and_results_arrive_as_sent(value):
    assert result(tasks.echo.delay(value)) == value


def test_a_failure_is_raised_at_the_caller():
    with pytest.raises(ValueError, match="^broken on purpose$"):
        result(tasks.fail.delay("broken on purpose"))


def test_retries_run_until_the_task_succeeds():
    assert result(tasks.succeed_on_attempt.delay(3)) == 3


def test_a_countdown_delays_the_task():
    sent = time.time()
    assert result(tasks.now.apply_async(countdown=1)) >= sent + 1


def test_countdowns_beyond_the_prefetch_do_not_block_other_tasks(app):
    # The worker holds tasks with an ETA unacknowledged and raises its channel's prefetch for each.
    with app.connection_for_read() as connection:
        connection.connect()
        if connection.qos_semantics_matches_spec:
            pytest.skip("kombu leaves the prefetch of consumers as it was, with a broker that announces 4.0 or later")
    later = [tasks.now.apply_async(countdown=3) for _ in range(20)]
    sent = time.time()
    assert result(tasks.now.delay()) < sent + 3
    assert all(result(each) >= sent + 2 for each in later)


def test_a_revoked_task_does_not_run():
    pending = tasks.now.apply_async(countdown=2)
    pending.revoke()
    with pytest.raises(TaskRevokedError):
        result(pending)


def test_an_expired_task_does_not_run():
    with pytest.raises(TaskRevokedError):
        # The worker has it before it expires, and finds it expired when it is due.
        result(tasks.now.apply_async(countdown=4, expires=3))


def test_a_task_sees_how_it_was_delivered():
    assert result(tasks.delivery.apply_async(priority=3)) == {
        "routing_key": tasks.QUEUE, "redelivered": False, "priority": 3}


def test_a_group_collects_its_results():
    from celery import group
    assert group(tasks.add.s(n, 1) for n in range(10))().get(timeout=PATIENCE_SECONDS) == list(range(1, 11))


def test_a_chain_passes_results_on():
    from celery import chain
    assert chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4))().get(timeout=PATIENCE_SECONDS) == 10
