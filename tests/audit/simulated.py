"""Labels and probabilities drawn from the two worlds that the audit's readings assume."""

import numpy as np


def softmax(logits):
    exp = np.exp(logits - logits.max(1, keepdims=True))
    return exp / exp.sum(1, keepdims=True)


def draw(random, probabilities):
    return (probabilities.cumsum(1) > random.random((len(probabilities), 1))).argmax(1)


def beliefs(random, n, k, spread=4.0):
    """What a perfectly calibrated network believes of the true label, and that label."""
    belief = softmax(spread * random.standard_normal((n, k)))
    return belief, draw(random, belief)


def class_world(n=20_000, k=4, rate=0.2, seed=0, sharpness=1.0, transition=None):
    """Noise that depends on the true class alone; the network is that much less sure than it should be."""
    random = np.random.default_rng(seed)
    belief, true = beliefs(random, n, k)
    if transition is None:
        transition = np.full((k, k), rate / (k - 1))
        np.fill_diagonal(transition, 1 - rate)
    given = draw(random, transition[true])
    probabilities = belief ** (1 / sharpness)
    return probabilities / probabilities.sum(1, keepdims=True), given, true, belief, transition


def learned_world(transition, n=20_000, seed=0, concentration=10.0):
    """Noise that depends on the true class; the network's probabilities are Dirichlet around that class's row."""
    random = np.random.default_rng(seed)
    true = random.integers(len(transition), size=n)
    given = draw(random, transition[true])
    shares = random.gamma(concentration * transition[true] + 0.3)
    return shares / shares.sum(1, keepdims=True), given, true


def instance_world(n=20_000, k=4, seed=0):
    """A label is one reader's draw from the doubt about a sample, the truth what two readers agree on."""
    random = np.random.default_rng(seed)
    belief, given = beliefs(random, n, k, spread=2.0)
    agreed = belief**2 / (belief**2).sum(1, keepdims=True)
    return belief, given, draw(random, agreed)
