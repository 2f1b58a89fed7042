"""The journal's logic over an injected store: commit, seal, recover, reclaim."""
