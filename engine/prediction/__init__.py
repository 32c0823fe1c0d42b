"""I am the models' room: features, rule baselines, trained classifiers, their manifest and their registry.
I may import ports and the domain; numpy, pandas, sklearn, skops and joblib only inside functions that need them.
I must not decide about orders, nor unpickle bytes that the manifest does not vouch for.
My tests are in tests/unit/prediction.
"""
