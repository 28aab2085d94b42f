"""Data sets: values that say which images, of which classes, which part; one a file."""

from contrast.data.cifar10 import CIFAR10 as CIFAR10
from contrast.data.cifar100 import CIFAR100 as CIFAR100
from contrast.data.dataset import Dataset as Dataset
from contrast.data.dataset import Images as Images
from contrast.data.digits import Digits as Digits
from contrast.data.digits_on_images import DigitsOnImages as DigitsOnImages
from contrast.data.fashion_mnist import FashionMNIST as FashionMNIST
from contrast.data.image_folder import ImageFolder as ImageFolder
from contrast.data.imagenet import ImageNet as ImageNet
from contrast.data.mnist import MNIST as MNIST
from contrast.data.multi_digits import MultiDigits as MultiDigits
from contrast.data.random_bits import RandomBits as RandomBits
from contrast.data.select import select as select
from contrast.data.stl10 import STL10 as STL10
from contrast.data.stl10_unlabeled import STL10Unlabeled as STL10Unlabeled
from contrast.data.svhn import SVHN as SVHN
from contrast.data.two_sizes import TwoSizes as TwoSizes
