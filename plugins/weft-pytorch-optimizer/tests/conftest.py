"""One thread: two on weights this small are slower, and this is how weft trains them."""

import torch

torch.set_num_threads(1)
