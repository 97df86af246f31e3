import pytest
from hypothesis import given
from hypothesis import strategies as st

from diglot.core.rng import seeded_generator
from diglot.train.lanes import lanes_of_one
from diglot.train.order import Order


def order_of(samples: int, shares: tuple[float, ...] = (), **settings: int) -> Order:
    return Order(lanes_of_one(samples, shares), **settings)


orders = st.builds(
    order_of,
    samples=st.integers(1, 40),
    global_batch=st.integers(1, 12),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 3),
)


@given(orders)
def test_every_sample_comes_exactly_once_an_epoch(order):
    keys = [key for step in range(order.steps) for key in order.step(step)]
    assert sorted(keys) == [(e, 0, i) for e in range(order.epochs) for i in range(order.documents)]
    assert all(1 <= len(order.step(step)) <= order.global_batch for step in range(order.steps))


@given(orders, st.integers(1, 5), st.integers(1, 5))
def test_shares_are_disjoint_and_complete_with_as_many_passes_each(order, micro, processes):
    for step in range(order.steps):
        shares = [order.micro_batches(step, micro, p, processes) for p in range(processes)]
        assert len({len(share) for share in shares}) == 1
        assert all(len(batch) <= micro for share in shares for batch in share)
        together = [key for share in shares for batch in share for key in batch]
        assert sorted(together) == sorted(order.step(step))
        assert any(share[-1] for share in shares)  # no pass that is empty everywhere


@pytest.mark.parametrize("processes", [2, 4])
def test_every_process_gets_turns_of_every_kind(processes):
    order = order_of(samples=64, global_batch=32, epochs=1, seed=0, shares=(1.0,))
    for step in range(order.steps):
        for process in range(processes):
            for batch in order.micro_batches(step, 4, process, processes):
                assert sum(turn for _, turn, _ in batch) == 2


def test_the_order_is_a_function_of_seed_and_epoch():
    def first(seed):
        return order_of(samples=50, global_batch=50, epochs=2, seed=seed).step(0)

    order = order_of(samples=50, global_batch=50, epochs=2, seed=0)
    assert order.step(0) == first(0) != first(1)
    assert [i for *_, i in order.step(0)] != [i for *_, i in order.step(1)]
    assert [i for *_, i in order.step(0)] != list(range(50))


def test_one_process_or_many_see_the_same_steps():
    order = order_of(samples=23, global_batch=8, epochs=1, seed=0)
    for step in range(order.steps):
        alone = [key for batch in order.micro_batches(step, 3, 0, 1) for key in batch]
        assert alone == order.step(step)


def test_generators_differ_by_every_part_of_their_key():
    def draw(*key):
        return seeded_generator(*key).initial_seed()

    draws = [draw(0, "sample", 1, 11), draw(0, "sample", 11, 1), draw(0, "order", 1), draw(1)]
    assert len(set(draws)) == len(draws)
    assert draw(0, "sample", 1, 11) == draws[0]


@given(st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.5, 0.8, 1.0, 2.5]))
def test_turns_are_even_in_every_stretch(samples, batch, share):
    order = order_of(samples=samples, global_batch=batch, epochs=2, seed=0, shares=(share,))
    extra = round(share * samples)
    assert order.documents == samples + extra
    for epoch in range(2):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        keys = [key for step in steps for key in order.step(step)]
        own, other = ([i for e, t, i in keys if t == turn] for turn in (0, 1))
        assert sorted(own) == list(range(samples))
        assert len(other) == extra
        assert share > 1 or len(set(other)) == extra  # no image twice in one mode
        for step in steps:
            documents = order.step(step)
            expected = len(documents) * extra / order.documents
            assert abs(sum(t for _, t, _ in documents) - expected) <= 1.5


def test_turns_of_the_objective_are_in_the_order_they_have_alone():
    mixed = order_of(samples=20, global_batch=5, epochs=1, seed=3, shares=(0.8,))
    alone = order_of(samples=20, global_batch=5, epochs=1, seed=3)
    keys = [key for step in range(mixed.steps) for key in mixed.step(step) if key[1] == 0]
    assert keys == [key for step in range(alone.steps) for key in alone.step(step)]


def test_progress_goes_from_0_to_1():
    order = order_of(samples=20, global_batch=5, epochs=1, seed=0)
    assert [order.progress(step) for step in range(4)] == [0, 1 / 3, 2 / 3, 1]
    assert order_of(samples=1, global_batch=5, epochs=1, seed=0).progress(0) == 1


def test_max_steps_ends_the_passes_early():
    order = order_of(samples=23, global_batch=8, epochs=2, seed=0, max_steps=4)
    assert (order.steps, order.progress(3), order.done(3)) == (4, 1.0, 23 + 8)
    assert order_of(samples=23, global_batch=8, epochs=1, seed=0, max_steps=4).steps == 3
