"""How a task spreads training samples over clients."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fal_bench.inputs.limits import MOST_CLIENTS, Samples
from fal_bench.task.spec import Spec


class EqualSizes(Spec):
    """Sizes of clients differ by at most one sample."""

    kind: Literal["equal"] = "equal"


class SizeShares(Spec):
    """Sizes of clients follow a list.

    Attributes:
        shares: what each client holds, in any unit; every client gets at least one sample.
    """

    kind: Literal["shares"] = "shares"
    shares: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1, max_length=MOST_CLIENTS)
    ]


class LogNormalSizes(Spec):
    """Sizes of clients are drawn from a log-normal law: many small ones, a few large ones.

    Attributes:
        sigma: standard deviation of the logarithm of a size; with 1, one client in six is more
            than 2.7 times as large as the median one. Every client gets at least one sample.
    """

    kind: Literal["log-normal"] = "log-normal"
    sigma: float = Field(gt=0, le=5)


Sizes = Annotated[EqualSizes | SizeShares | LogNormalSizes, Field(discriminator="kind")]


class Synthetic(Spec):
    """A partition that is drawn.

    Attributes:
        sizes: how many samples each client holds.
    """

    sizes: Sizes = EqualSizes()


class Iid(Synthetic):
    """Every client draws from the same distribution."""

    kind: Literal["iid"] = "iid"


class Dirichlet(Synthetic):
    """Class proportions per client follow a Dirichlet law.

    Attributes:
        alpha: concentration; 0.1 is strongly heterogeneous, 100 nearly IID.
        balanced: whether rows and columns of the drawn matrix are rescaled to equal sums whatever
            the size of a class, as in the code of LoGo (Kim et al., CVPR 2023) and of papers after
            it. It makes a difference where classes have unequal sizes.
    """

    kind: Literal["dirichlet"] = "dirichlet"
    alpha: float = Field(ge=1e-3)
    balanced: bool = False


class Shards(Synthetic):
    """Every client holds samples of a few classes only (McMahan et al., 2017).

    Attributes:
        classes_per_client: how many classes a client holds.
    """

    kind: Literal["shards"] = "shards"
    classes_per_client: Samples


class Given(Spec):
    """Clients come with the data: hospitals, branches, people.

    Attributes:
        target: name of the client that the model is for and that takes no part: its samples
            are never labelled, the server has its inputs, and its test samples alone are the test
            set. Empty if all clients take part.
    """

    kind: Literal["given"] = "given"
    target: str = ""


Partition = Annotated[Iid | Dirichlet | Shards | Given, Field(discriminator="kind")]


def described(partition: Partition) -> str:
    """Return a partition in a few words, for people."""
    match partition:
        case Given(target=target):
            return f"as given, for {target}" if target else "as given"
        case Iid():
            words = "IID"
        case Dirichlet(alpha=alpha, balanced=balanced):
            words = f"{'balanced ' if balanced else ''}Dirichlet alpha {alpha:g}"
        case Shards(classes_per_client=classes):
            words = f"{classes} classes a client"
    match partition.sizes:
        case SizeShares():
            return f"{words}, sizes as listed"
        case LogNormalSizes(sigma=sigma):
            return f"{words}, log-normal sizes (sigma {sigma:g})"
    return words
