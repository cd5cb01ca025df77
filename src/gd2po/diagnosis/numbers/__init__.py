"""The numbers of a diagnosis: sums over chunks, a bootstrap over groups, and what each method would do."""
