"""A short list of English threats and insults: a floor that needs no licence of others, without slurs, and no judgment.

Whole lists (slurs, other languages) belong to their authors: name a file of your own under `words`.
"""

THREATS_EN = """
kill yourself
kill your self
go kill yourself
go die
drop dead
hope you die
hope you get cancer
hope you suffer
deserve to die
should kill yourself
i will kill you
i'll kill you
i'm going to kill you
gonna kill you
i will hurt you
i'll hurt you
i will find you and
i know where you live
beat you to death
burn in hell
rot in hell
you are worthless
you're worthless
you are pathetic
you're pathetic
you are disgusting
you're disgusting
you are an idiot
you're an idiot
you idiot
you moron
you're a moron
stupid idiot
fucking idiot
piece of shit
shut the fuck up
fuck you
fuck off
go to hell
nobody loves you
nobody likes you
the world would be better without you
waste of oxygen
waste of space
""".strip().splitlines()
