"""What is written about items: sentences, and the terms of declared columns."""

from dataclasses import replace

import numpy as np
import pytest

from adapters.config import AdapterConfig
from adapters.content import Centering, Contents, Terms
from adapters.fit import fit
from coldstart.errors import InvalidInput
from coldstart.terms import count_terms
from tests.adapters.toy import World, make_world, own_share

CONFIG = AdapterConfig(neighbours=5, image_dim=8, content_dim=16)


def written(world: World, *, sentences: bool) -> tuple[Contents, Contents]:
    """Warm and cold contents whose column ``genre`` says of which group they are; without pictures."""

    def of(contents: Contents, group: np.ndarray) -> Contents:
        terms = count_terms([{"genre": ["tea", "tools"][g], "shelf": f"{n % 7}"} for n, g in enumerate(group)])
        text = contents.text * sentences
        present = np.stack([np.ones(len(group), bool), np.zeros(len(group), bool)], axis=1)
        return Contents(text, 0 * contents.image, present, terms)

    return of(world.contents, world.item_group), of(world.cold, world.cold_group)


@pytest.mark.parametrize("sentences", [False, True])
def test_a_declared_column_alone_finds_the_community(sentences: bool) -> None:
    world = make_world()
    warm, cold = written(world, sentences=sentences)
    adapter = fit(world.backbone, warm, config=CONFIG)
    users = adapter.user_vectors(np.arange(40))
    assert own_share(world, users, adapter.cold_vectors(adapter.blocks(cold)), 5) > 0.95


def test_items_without_columns_are_compared_by_their_sentences() -> None:
    warm, cold = written(make_world(), sentences=True)
    centering = Centering.fit(warm, image_dim=8, term_dim=16, term_share=0.4)
    with_terms, *_ = centering.apply(cold)
    without, *_ = centering.apply(replace(cold, terms=count_terms([{}] * len(cold))))
    dt = cold.text.shape[1]
    np.testing.assert_allclose(np.square(with_terms[:, dt:]).sum(axis=1), 0.4, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(without[:, :dt], axis=1), 1.0, rtol=1e-5)
    assert not without[:, dt:].any()


def test_sentences_mean_nothing_to_an_adapter_that_has_seen_none() -> None:
    world = make_world()
    warm, cold = written(world, sentences=False)
    centering = Centering.fit(warm, image_dim=8, term_dim=16, term_share=0.4)
    read, *_ = centering.apply(replace(cold, text=world.cold.text))
    np.testing.assert_array_equal(read, centering.apply(cold)[0])


def test_terms_of_one_item_are_no_evidence() -> None:
    terms = count_terms([{"isbn": str(n)} for n in range(6)])
    contents = Contents(np.eye(6, dtype=np.float32), np.zeros((6, 0), np.float32), np.array([[True, False]] * 6), terms)
    centering = Centering.fit(contents, image_dim=8, term_dim=16, term_share=0.4)
    assert centering.dims == (6, 0)


def test_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(InvalidInput, match="rows"):
        Contents(np.zeros((2, 1), np.float32), np.zeros((2, 0), np.float32), np.ones((2, 2), bool), count_terms([{}]))


def test_a_share_of_the_pictures_goes_and_texts_stay() -> None:
    contents = make_world().contents
    left = contents.without_pictures(0.5, seed=1)
    assert left.present[:, 1].sum() == len(contents) // 2 and left.present[:, 0].all()
    assert not left.image[~left.present[:, 1]].any()
    np.testing.assert_array_equal(left.image[left.present[:, 1]], contents.image[left.present[:, 1]])
    assert contents.present.all()


def test_an_adapter_of_pictures_and_columns_reads_no_titles() -> None:
    world = make_world()
    warm, cold = written(world, sentences=False)
    pictured = replace(warm, image=world.contents.image, present=np.ones_like(warm.present))
    adapter = fit(world.backbone, pictured, config=CONFIG)
    title = replace(cold, text=world.cold.text, terms=count_terms([{"genre": "unheard of"}] * len(cold)))
    blocks = adapter.blocks(title)
    assert not blocks.gate.any() and not blocks.collaborative.any() and not blocks.content.any()
    both = adapter.blocks(replace(title, image=world.cold.image, present=np.ones_like(title.present)))
    np.testing.assert_allclose(both.gate, np.tile([0.0, 1.0], (len(cold), 1)), atol=1e-6)


def test_more_terms_than_axes_keep_the_strongest() -> None:
    rng = np.random.default_rng(0)
    terms = count_terms([{f"tag{k}": f"{n % 2}" for k in range(5)} | {"n": str(rng.integers(30))} for n in range(200)])
    found = Terms.fit(terms, dim=6)
    assert found.basis.shape == (len(found.buckets), 6) and len(found.buckets) > 6
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(6), atol=1e-5)
    vectors, has = found.apply(terms)
    assert has.all()
    group = np.arange(200) % 2
    cosines = vectors @ vectors.T
    assert cosines[group[:, None] == group].mean() > cosines[group[:, None] != group].mean() + 0.5
