"""Randomness is a counter: every draw is a function of who draws, never of what was drawn before.

A draw is named by (seed, purpose, epoch, view) and by the id of the sample it belongs to. So views, order and noise do
not depend on the batch split, on the worker, on the number of processes or on a resume, and two methods that share a
seed see the same views in the same order. Draws are made on the CPU in numpy, so every device gets the same numbers.

The mixing function is the 64-bit finaliser of SplitMix64 (Steele, Lea, Flood, 2014), applied to a counter per draw.
"""

import hashlib

import numpy as np
import torch

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


def key(seed: int, purpose: str, epoch: int = 0, view: int = 0) -> int:
    """A 64-bit stream key for (seed, purpose, epoch, view)."""
    text = f"{seed}/{purpose}/{epoch}/{view}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def uniform(seed: int, purpose: str, ids: np.ndarray, draws: int, *, epoch: int = 0, view: int = 0) -> np.ndarray:
    """Float64 array [len(ids), draws] of independent numbers in [0, 1); row i depends on `ids[i]` alone."""
    stream = np.uint64(key(seed, purpose, epoch, view))
    sample = _mix(np.asarray(ids).astype(np.uint64) * _GOLDEN + stream)
    counter = _mix(sample[:, None] + (np.arange(draws, dtype=np.uint64)[None, :] + np.uint64(1)) * _GOLDEN)
    uniforms: np.ndarray = (counter >> np.uint64(11)) * 2.0**-53
    return uniforms


def normal(seed: int, purpose: str, ids: np.ndarray, draws: int, *, epoch: int = 0, view: int = 0) -> np.ndarray:
    """Float64 array [len(ids), draws] of independent standard normal numbers (Box and Muller); row i depends on `ids[i]` alone."""
    uniforms = uniform(seed, purpose, ids, 2 * draws, epoch=epoch, view=view)
    normals: np.ndarray = np.sqrt(-2 * np.log1p(-uniforms[:, :draws])) * np.cos(2 * np.pi * uniforms[:, draws:])
    return normals


def permutation(seed: int, purpose: str, ids: np.ndarray, *, epoch: int = 0) -> np.ndarray:
    """Int64 positions [len(ids)] that visit the samples in a random order that depends on their ids, not on their places."""
    return np.argsort(uniform(seed, purpose, ids, 1, epoch=epoch)[:, 0], kind="stable")


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A CPU generator for draws that belong to no sample (initial weights, directions), seeded by (seed, purpose, epoch)."""
    return torch.Generator().manual_seed(key(seed, purpose, epoch) & (2**63 - 1))
