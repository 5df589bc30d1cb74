"""bf16 is used where it is quick."""

import pytest
import torch

from explainer.training.precision import autocast


@pytest.mark.parametrize("native", [True, False])
def test_bf16_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch, native: bool):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": native}, raising=False
    )
    with autocast("cpu"):
        product = torch.rand(2, 3) @ torch.rand(3, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)
    with autocast("cpu", torch.bfloat16):
        assert (torch.rand(2, 3) @ torch.rand(3, 2)).dtype == torch.bfloat16
