"""HOW IS A PERSON FORGOTTEN: requests with a ground, two officers, holds, suppression.

In: a request to erase. Out: keys destroyed, while every proof of the log still verifies
(UU 27/2022 Art. 8, 43).
"""
