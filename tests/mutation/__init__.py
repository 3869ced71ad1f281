"""The tests are tested: each small change to the rules must make one of them fail."""
