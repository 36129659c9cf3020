from bench.platforms.embedded.pool import Job, Owner, Phase, Pool, Prewarm, Remove, Run, Stem


def job(action="a", memory_mb=256, revision=1, **kwargs):
    return Job(Owner("guest", action, revision), "image", memory_mb, **kwargs)


def runs(decisions):
    return [d for d in decisions if isinstance(d, Run)]


def start(pool, wanted):
    (run,) = runs(pool.submit(wanted))
    return run.slot


def serve(pool, wanted, now_ns):
    """Run a job to its end in whatever the pool gives."""
    slot = start(pool, wanted)
    pool.settle(slot)
    pool.release(slot, now_ns)
    return slot


def test_a_warm_container_is_used_again():
    pool = Pool(1024)
    slot = serve(pool, job(), 1)
    (run,) = pool.submit(job())
    assert (run.slot, run.start) == (slot, "warm")


def test_a_warm_container_serves_no_other_action_and_no_other_revision():
    pool = Pool(1024)
    slot = serve(pool, job(), 1)
    assert start(pool, job("b")) is not slot
    assert start(pool, job(revision=2)) is not slot


def test_a_fresh_job_never_gets_a_used_container():
    pool = Pool(1024)
    slot = serve(pool, job(), 1)
    (run,) = pool.submit(job(fresh=True))
    assert (run.start, run.slot is slot) == ("cold", False)


def test_a_request_right_after_the_reply_waits_for_the_same_container():
    pool = Pool(1024)
    slot = start(pool, job())
    pool.settle(slot)
    second = job()
    assert pool.submit(second) == []  # not let in before the container's word
    (run,) = pool.release(slot, 1)
    assert (run.job, run.slot, run.start) == (second, slot, "warm")
    assert len(pool.slots) == 1


def test_only_one_request_waits_for_a_settling_container():
    pool = Pool(1024)
    slot = start(pool, job())
    pool.settle(slot)
    pool.submit(job())
    (run,) = pool.submit(job())
    assert run.start == "cold"


def test_a_request_bound_to_a_container_that_fails_goes_to_another():
    pool = Pool(1024)
    slot = start(pool, job())
    pool.settle(slot)
    waiting = job()
    pool.submit(waiting)
    removed, run = pool.remove(slot, "not restored")
    assert isinstance(removed, Remove)
    assert (run.job, run.start, waiting.resent) == (waiting, "cold", 1)
    assert run.slot is not slot


def test_a_request_that_lost_a_container_is_not_bound_to_another():
    pool = Pool(512)
    first, second = start(pool, job()), start(pool, job())
    pool.settle(first)
    waiting = job()
    pool.submit(waiting)
    pool.settle(second)
    removed, run = pool.remove(first, "not restored")
    assert isinstance(removed, Remove)
    assert run.start == "cold"  # and not lost a second time with the second container
    assert second.bound is None


def test_memory_bounds_the_containers():
    pool = Pool(512)
    first, second = start(pool, job()), start(pool, job())
    waiting = job()
    assert pool.submit(waiting) == []
    assert pool.used_mb == 512
    pool.settle(first)
    (run,) = pool.release(first, 1)
    assert (run.job, run.slot) == (waiting, first)
    assert second.phase is Phase.BUSY


def test_eviction_takes_the_least_recently_used_first():
    pool = Pool(512)
    slots = {}
    running = {name: start(pool, job(name)) for name in ("old", "new")}
    for now_ns, name in enumerate(("old", "new")):
        pool.settle(running[name])
        pool.release(running[name], now_ns)
        slots[name] = running[name]
    removed, run = pool.submit(job("c"))
    assert isinstance(removed, Remove)
    assert removed.slot is slots["old"]
    assert run.start == "cold"
    assert pool.used_mb == 512


def test_nothing_is_evicted_when_that_would_not_be_enough():
    pool = Pool(768)
    busy = start(pool, job("busy", 512))
    idle = serve(pool, job("idle", 256), 1)
    assert pool.submit(job("big", 512)) == []
    assert idle.phase is Phase.IDLE
    pool.settle(busy)
    decisions = pool.release(busy, 2)
    assert [type(d) for d in decisions] == [Remove, Remove, Run] or [type(d) for d in decisions] == [
        Remove,
        Run,
    ]
    assert runs(decisions)[0].job.owner.action == "big"


def test_the_queue_is_first_in_first_out_and_its_head_holds_up_the_rest():
    pool = Pool(512)
    one, two = start(pool, job("x")), start(pool, job("x"))
    big, small = job("big", 512), job("small", 128)
    assert pool.submit(big) == []
    assert pool.submit(small) == []
    assert runs(pool.remove(one, "done")) == []  # the small one would fit, but is not first
    assert [r.job for r in runs(pool.remove(two, "done"))] == [big]
    assert list(pool.queue) == [small]


def test_a_cancelled_job_frees_the_way():
    pool = Pool(256)
    slot = start(pool, job())
    big, small = job("big", 512), job()
    pool.submit(big)
    pool.submit(small)
    assert pool.cancel(big) == []
    pool.settle(slot)
    assert pool.release(slot, 1)[0].job is small


def test_prewarmed_containers_are_taken_and_replaced():
    pool = Pool(1024, (Stem("image", 256, 1),))
    (stem,) = pool.open()
    assert isinstance(stem, Prewarm)
    assert pool.prewarmed(stem.slot) == []
    run, replacement = pool.submit(job())
    assert (run.slot, run.start) == (stem.slot, "prewarmed")
    assert isinstance(replacement, Prewarm)


def test_prewarmed_containers_of_another_size_are_left_alone():
    pool = Pool(1024, (Stem("image", 256, 1),))
    (stem,) = pool.open()
    pool.prewarmed(stem.slot)
    (run,) = pool.submit(job(memory_mb=512))
    assert run.start == "cold"


def test_prewarming_stays_within_the_memory():
    pool = Pool(512, (Stem("image", 256, 5),))
    assert len(pool.open()) == 2


def test_idle_containers_expire_busy_ones_do_not():
    pool = Pool(1024)
    idle = serve(pool, job("a"), 10)
    start(pool, job("b"))
    assert pool.expire(10) == []
    (removed,) = pool.expire(11)
    assert removed.slot is idle


def test_a_deleted_action_loses_its_containers():
    pool = Pool(1024)
    idle, busy = serve(pool, job(), 1), start(pool, job("b"))
    both = pool.forget(lambda _: True)
    assert [d.slot for d in both] == [idle]
    pool.settle(busy)
    (removed,) = pool.release(busy, 2)
    assert isinstance(removed, Remove)
    assert pool.used_mb == 0


def test_a_deleted_actions_container_takes_no_waiting_request():
    pool = Pool(1024)
    slot = start(pool, job())
    pool.forget(lambda _: True)
    pool.settle(slot)
    (run,) = pool.submit(job())
    assert run.slot is not slot


def test_a_slot_is_removed_once():
    pool = Pool(1024)
    slot = start(pool, job())
    assert len(pool.remove(slot, "first")) == 1
    assert pool.remove(slot, "second") == []
    assert pool.used_mb == 0


def test_counts_tell_the_state():
    pool = Pool(512)
    serve(pool, job("a"), 1)
    start(pool, job("b"))
    pool.submit(job("c", 512))
    counts = pool.counts()
    assert (counts["idle"], counts["busy"], counts["queued"], counts["usedMb"]) == (1, 1, 1, 512)
