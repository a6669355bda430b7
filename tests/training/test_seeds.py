import torch

from labelnoise.training import child_generator, child_seed, seeded


def test_streams_differ_by_name_and_by_seed_and_repeat():
    seeds = [child_seed(seed, stream) for seed in range(50) for stream in ("noise", "split", "order", "weights")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert (
        seeds[0] == child_seed(0, "noise") == 5127903134280592399
    )  # another one is another noise in every recorded run
    first, second = (torch.rand(3, generator=child_generator(7, "noise")) for _ in range(2))
    assert torch.equal(first, second)


def test_seeded_restores_the_global_state():
    before = torch.get_rng_state()
    with seeded(0, "weights"):
        first = torch.rand(3)
    with seeded(0, "weights"):
        second = torch.rand(3)
    assert torch.equal(first, second)
    assert torch.equal(before, torch.get_rng_state())
