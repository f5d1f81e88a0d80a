"""The figures of the page, one file each, and the tables of the numbers behind them."""
