"""FTCL-Net: ACM-Net with a projection in which snippets of two videos are compared.

Letters: B videos, L snippets of a sequence, D feature channels, P channels of the projection.
Source: FTCL (CVPR 2022), section 3; the parameter names are those of the official checkpoints.
"""

from torch import Tensor, nn

from models.acmnet import ACMNet
from models.alignment import Moves


class FTCLNet(ACMNet):
    """ACM-Net with the projection of the FSD loss.

    Args:
        feature_dim: D.
        num_classes: C.
        dropout, topk_divisors, input_dropout, temporal_conv: As in `ACMNet`.
        fc_dim: P, even; the first half of the projected channels is compared for matches, the
            second half for gaps.
        separate_gaps: Insert and delete have a projection each, as in the paper; otherwise they
            share one, as in the official implementation.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        dropout: float = 0.7,
        topk_divisors: tuple[int, int, int] = (8, 3, 3),
        input_dropout: float = 0.0,
        fc_dim: int = 1024,
        separate_gaps: bool = False,
        temporal_conv: str = "auto",
    ) -> None:
        super().__init__(
            feature_dim, num_classes, dropout, topk_divisors, input_dropout, temporal_conv
        )
        self.feature_trans = nn.Linear(feature_dim, fc_dim)
        self.delete_trans = nn.Linear(feature_dim, fc_dim // 2) if separate_gaps else None

    def project(self, snippets: Tensor) -> Moves:
        """The channels in which snippets are compared for each move of the FSD alignment.

        Args:
            snippets: (B, L, D) embeddings.

        Returns:
            Tensors (B, L, P / 2); `delete` is `insert` unless they have separate projections.
        """
        match, insert = self.feature_trans(snippets).chunk(2, dim=-1)
        delete = insert if self.delete_trans is None else self.delete_trans(snippets)
        return Moves(match, insert, delete)
