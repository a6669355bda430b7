import os

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from labelnoise.training import working_for


def threads():
    """Of torch, and of every library of linear algebra that is loaded."""
    return torch.get_num_threads(), {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_a_worker_computes_on_one_thread_and_gives_the_others_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with threadpool_limits(2, user_api="blas"):
            outside = threads()
            with working_for(os.getpid()):
                assert threads() == (1, {1})
            assert threads() == outside
    finally:
        torch.set_num_threads(before)
