"""Decoders: latent variables in, images out."""

from contrast.decoders.deconv_n import DeconvN as DeconvN
