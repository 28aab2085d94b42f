"""Data sets: values that say which images, of which classes, which part; one a file."""

from contrast.data.cifar10 import CIFAR10 as CIFAR10
from contrast.data.cifar100 import CIFAR100 as CIFAR100
from contrast.data.dataset import Dataset as Dataset
from contrast.data.dataset import Images as Images
from contrast.data.digits import Digits as Digits
from contrast.data.mnist import MNIST as MNIST
from contrast.data.select import select as select
