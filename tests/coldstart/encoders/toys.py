"""Models small enough to make in a test: a two-layer BERT and a small CNN of timm's own tests, with random weights."""

from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "blue", "shoe", "boot", "film", "query", ":"]


def make_text_model(folder: Path, *, seed: int = 0, pooling: str = "cls", prompt: str | None = None) -> Path:
    """A sentence-transformers model of width 16 whose every word is a token; another seed is another model."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    tokenizer = Tokenizer(WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    base = folder / "base"
    BertModel(config).save_pretrained(base)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **special)  # type: ignore[no-untyped-call]
    fast.save_pretrained(base)
    transformer = Transformer(str(base), max_seq_length=12)
    model = SentenceTransformer(
        modules=[transformer, Pooling(16, pooling_mode=pooling)],
        prompts={"given": prompt} if prompt else None,
        default_prompt_name="given" if prompt else None,
        device="cpu",
    )
    made = folder / "model"
    model.save(str(made))
    return made


def make_cnn_file(folder: Path, *, seed: int = 0, name: str = "test_resnet") -> Path:
    """Random weights for a timm model of half a million parameters, to be named as ``timm:test_resnet@FILE``."""
    torch.manual_seed(seed)
    model = timm.create_model(name, pretrained=False)
    path = folder / f"{name}-{seed}.safetensors"
    save_file(model.state_dict(), path)
    return path


class Canary:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)
