import numpy as np
import pytest
from scipy.sparse import csr_matrix

from adapters.baselines import Known, Vectors, backbone_alone, content_knn, features, neighbours, popularity, ridge
from adapters.content import Contents
from coldstart.vectors import Matrix
from tests.adapters.toy import World, make_world, own_share
from tests.adapters.toy_split import joined

WORLD = make_world()
N_WARM = len(WORLD.item_group)


def known_of(world: World) -> Known:
    """Cold items after the warm ones."""
    cold = len(world.cold_group)
    clicks = csr_matrix(np.pad(world.backbone.clicks.toarray(), ((0, 0), (0, cold))))
    users, items = np.arange(len(world.user_group)), np.arange(len(world.item_group))
    return Known.of(world.backbone, users, items, clicks, joined(world))


KNOWN = known_of(WORLD)
CONTENT = features(KNOWN.contents, KNOWN.warm, image_weight=0.5)


@pytest.mark.parametrize(
    "vectors", [neighbours(KNOWN, CONTENT, k=5), ridge(KNOWN, CONTENT, penalty=1.0), content_knn(KNOWN, CONTENT)]
)
def test_each_finds_the_right_community(vectors: Vectors) -> None:
    users, items = vectors
    assert len(users) == len(WORLD.user_group) and len(items) == N_WARM + len(WORLD.cold_group)
    assert own_share(WORLD, users, items[N_WARM:], 5) > 0.95


@pytest.mark.parametrize("items", [neighbours(KNOWN, CONTENT)[1], ridge(KNOWN, CONTENT, penalty=1.0)[1]])
def test_warm_items_keep_their_frozen_vectors(items: Matrix) -> None:
    np.testing.assert_array_equal(items[:N_WARM], WORLD.backbone.item_vectors)


def test_one_neighbour_gives_its_own_vector() -> None:
    _, items = neighbours(KNOWN, CONTENT, k=1)
    nearest = (CONTENT[N_WARM:] @ CONTENT[:N_WARM].T).argmax(axis=1)
    np.testing.assert_allclose(items[N_WARM:], WORLD.backbone.item_vectors[nearest], rtol=1e-6)


def test_ridge_is_the_regression_it_says() -> None:
    """A target that is linear in content is found again where nothing is penalised."""
    rng = np.random.default_rng(0)
    content = rng.standard_normal((30, 4)).astype(np.float32)
    content[:20] -= content[:20].mean(axis=0)
    linear = (content @ rng.standard_normal((4, 3)) + 1.0).astype(np.float32)
    clicks = csr_matrix((np.ones(20), (np.zeros(20, int), np.arange(20))), shape=(2, 30))
    known = Known(np.ones((2, 3), np.float32), np.where(np.arange(30)[:, None] < 20, linear, 0), clicks,
                  Contents(content, np.zeros((30, 0), np.float32), np.ones((30, 2), bool)))  # fmt: skip
    np.testing.assert_allclose(ridge(known, content, penalty=1e-9)[1], linear, atol=1e-4)


def test_an_item_without_content_gets_no_vector() -> None:
    bare = CONTENT.copy()
    bare[[0, -1]] = 0.0
    for _, items in (neighbours(KNOWN, bare), ridge(KNOWN, bare, penalty=1.0), content_knn(KNOWN, bare)):
        assert not items[-1].any() and items[-2].any()


def test_the_cosine_is_the_weighted_mean_of_both_modalities() -> None:
    text, image = (features(KNOWN.contents, KNOWN.warm, image_weight=w) for w in (0.0, 1.0))
    mixed = features(KNOWN.contents, KNOWN.warm, image_weight=0.25)
    np.testing.assert_allclose(mixed @ mixed.T, 0.75 * text @ text.T + 0.25 * image @ image.T, atol=1e-5)


def test_what_has_one_modality_is_compared_by_that() -> None:
    contents = joined(WORLD)
    present = contents.present.copy()
    present[-2], present[-1] = (True, False), (False, False)
    masked = Contents(contents.text, contents.image * present[:, 1:], present)
    rows = features(masked, KNOWN.warm, image_weight=1.0)
    assert np.linalg.norm(rows[-2]) == pytest.approx(1.0) and not rows[-1].any()


def test_popularity_ranks_what_was_met_most_and_cold_items_last() -> None:
    users, items = popularity(KNOWN, seed=0)
    counts = np.asarray(KNOWN.clicks.sum(axis=0)).ravel()
    order = np.argsort(-(users[:1] @ items.T)[0])
    assert (np.diff(counts[order]) <= 0).all()
    assert len(np.unique(items)) == len(items)


def test_the_backbone_has_nothing_for_cold_items() -> None:
    assert not backbone_alone(KNOWN)[1][N_WARM:].any()
