"""How good the lists are: full ranking, Recall@k and NDCG@k, over cold, warm and all items."""
