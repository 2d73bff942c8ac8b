"""Short stories, haiku and rhymes for the training text: a small grammar over a small world.

A story has a hero, a friend, a place, the weather and one small problem that gets solved.  Every
step has several wordings, so that the model learns how a story goes and not one text by heart.
"""

GIRLS = "Cria Luna Bella Nina Rosa Tilly Daisy Ruby Ella Molly Clara Lily Poppy Hazel Maya".split()
BOYS = "Pip Milo Otto Hugo Max Oscar Leo Finn Toby Sam Ben Felix Jasper Theo Jack".split()
NAMES = GIRLS + BOYS
FEMALE = ("princess", "fairy", "girl", "queen", "witch", "hen", "cow")
MALE = ("king", "boy", "knight", "wizard", "snowman")
BEASTS = ("llama cat dog fox rabbit mouse bear owl duck hedgehog squirrel frog pony goat sheep "
          "turtle penguin elephant lion pig hen bird horse cow wolf deer beaver monkey").split()
FANTASY = ("dragon robot princess knight wizard fairy giant pirate astronaut farmer girl boy king "
           "queen witch snowman baker sailor teacher").split()
ADJECTIVES = ("small brave shy kind curious clever happy lonely young old sleepy gentle hungry "
              "cheerful quiet lazy proud little friendly").split()
PLACES = ("a small village by the river", "a green valley", "a quiet forest",
          "a farm on a hill", "a little house by the sea", "a village in the mountains",
          "a wide meadow", "an old mill near the lake", "a warm barn", "a garden full of flowers")
SPOTS = ("the old bridge", "the big oak tree", "the edge of the forest", "the market", "the well",
         "the lake", "the hill", "the river", "the garden gate", "the red barn")
WEATHERS = ("The sun was shining", "It was raining softly", "Snow was falling",
            "A cold wind was blowing", "The sky was clear and blue", "Fog lay over the fields",
            "It was a warm morning", "It was a bright day in spring", "It was a cool autumn day")
THINGS = ("a red ball", "a golden key", "a blue scarf", "a silver bell", "a little lantern",
          "a warm blanket", "a wooden flute", "a yellow hat", "an old map", "a shiny stone")
FOODS = ("apples", "bread", "carrots", "soup", "pancakes", "berries", "honey cakes", "pears",
         "cherries", "nuts")
SKILLS = (("swim", "swimming"), ("sing", "singing"), ("dance", "dancing"), ("climb", "climbing"),
          ("bake", "baking"), ("paint", "painting"), ("skate", "skating"), ("read", "reading"))
MORALS = ("From that day on, they were best friends.",
          "And they all lived happily ever after.",
          "That night, {H} slept well and dreamed of the next adventure.",
          "{H} learned that a good friend is the best help of all.",
          "{H} smiled, because it had been a very good day.",
          "And whenever it was cold outside, they remembered that day and laughed.")


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def capital(text):
    return text[0].upper() + text[1:]


def definite(thing):
    """'a red ball' -> 'the red ball'."""
    return "the " + thing.split(" ", 1)[1]


class Cast:
    """The people and things of one story; pronouns go with the hero."""
    def __init__(self, r, kind=None, name=None, adjective=None, friend=None):
        self.kind = kind or r.choice(BEASTS + FANTASY if r.random() < 0.3 else BEASTS)
        fitting = GIRLS if self.kind in FEMALE else BOYS if self.kind in MALE else NAMES
        self.hero = name or ("Cria" if self.kind == "llama" else r.choice(fitting))
        self.adjective = adjective or r.choice(ADJECTIVES)
        self.she = self.hero in GIRLS if self.hero in NAMES else r.random() < 0.5
        self.friend_kind = friend or r.choice([b for b in BEASTS if b != self.kind])
        self.friend = r.choice([n for n in NAMES if n != self.hero])
        self.place, self.spot = r.choice(PLACES), r.choice(SPOTS)
        self.thing, self.food = r.choice(THINGS), r.choice(FOODS)

    def fill(self, text):
        words = {"H": self.hero, "F": self.friend, "k": self.kind, "fk": article(self.friend_kind),
                 "fkn": self.friend_kind, "adj": article(self.adjective), "spot": self.spot,
                 "place": self.place, "thing": self.thing, "Thing": definite(self.thing),
                 "food": self.food, "ak": article(self.kind),
                 "he": "she" if self.she else "he", "He": "She" if self.she else "He",
                 "him": "her" if self.she else "him", "his": "her" if self.she else "his"}
        return text.format(**words)


def opening(r):
    return r.choice((
        "Once upon a time, there was {adj} {k} named {H}. {H} lived in {place}.",
        "Once upon a time, {adj} {k} called {H} lived in {place}.",
        "In {place}, there lived {adj} {k} named {H}.",
        "Once there was {adj} {k} whose name was {H}. {He} lived in {place}.",
        "{H} was {adj} {k} who lived in {place}."))


def lost_thing(r):
    return [r.choice(("{weather}, and {H} could not find {Thing}. ",
                      "One day, {H} lost {thing}. {weather}. ")),
            r.choice(("{He} looked under the bed and behind the door, but it was not there.",
                      "{He} looked everywhere, but {Thing} was gone.")),
            r.choice(("Then {H} met {F}, {fk}. \"Why are you sad?\" asked {F}.",
                      "\"What are you looking for?\" asked {F}, {fk}.")),
            r.choice(("\"I have lost {Thing},\" said {H}. \"Let us look together,\" said {F}.",
                      "\"{Thing_} is gone,\" said {H}. \"I will help you,\" said {F}.")),
            r.choice(("They walked to {spot}, and there it was, lying in the grass.",
                      "They searched until evening. At last they found it near {spot}.")),
            r.choice(("{H} was so happy that {he} hugged {F}.",
                      "\"Thank you!\" said {H}, and they walked home together."))]


def storm(r):
    return [r.choice(("One evening, dark clouds came over the hills, and a big storm began.",
                      "One night, the wind began to blow, and rain fell on the roof.")),
            r.choice(("{H} was afraid of the thunder and hid under {his} blanket.",
                      "{H} sat by the window and could not sleep.")),
            r.choice(("Then {he} heard a knock. It was {F}, {fk}, and {F} was very wet.",
                      "Suddenly someone cried for help. It was {F}, {fk}, near {spot}.")),
            r.choice(("\"Come in,\" said {H}. {He} made a fire and gave {F} warm {food}.",
                      "{H} forgot {his} fear and ran out to bring {F} into the house.")),
            r.choice(("They told each other stories until the storm was over.",
                      "Together they watched the lightning, and it was not so bad any more.")),
            r.choice(("In the morning, the sun came out and there was a rainbow over the valley.",
                      "When the sun came up, the whole world was bright and clean."))]


def sharing(r):
    return [r.choice(("One morning, {H} packed a basket full of {food} and went for a walk.",
                      "{weather}. {H} had a basket of {food} and wanted to eat them all.")),
            r.choice(("At {spot}, {he} met {F}, {fk}. {F} had not eaten all day.",
                      "On the way to {spot}, {he} saw {F}, {fk}, who looked very hungry.")),
            r.choice(("{H} looked at the basket. There was not much in it.",
                      "{H} thought for a moment.")),
            r.choice(("\"Here, take half of it,\" said {H}.",
                      "\"Would you like to share my {food}?\" asked {H}.")),
            r.choice(("{F} was very glad. They sat down in the grass and ate together.",
                      "{F} smiled, and they ate under a tree and talked for a long time.")),
            r.choice(("The next day, {F} came back with {thing} as a gift for {H}.",
                      "Everything tastes better when you share it, thought {H}."))]


def learning(r):
    do, doing = r.choice(SKILLS)
    return [r.choice((f"{{H}} wanted to learn how to {do}.",
                      f"More than anything, {{H}} wished that {{he}} could {do}.")),
            r.choice((f"But {doing} was not easy. On the first day, everything went wrong.",
                      "{He} tried it again and again, but it did not work.")),
            r.choice(("\"Do not give up,\" said {F}, {fk}. \"I will show you.\"",
                      "{F}, {fk}, watched and said, \"You only need some practice.\"")),
            r.choice(("Every morning they met at {spot} and practised together.",
                      "So they practised every day, in sun and in rain.")),
            r.choice((f"After a week, {{H}} could {do} very well.",
                      f"One day, {{H}} could {do} as well as {{F}}.")),
            r.choice(("\"I did it!\" cried {H}. {F} was very proud.",
                      "All the animals of the village came and clapped."))]


def new_friend(r):
    return [r.choice(("{H} had no friends yet and often felt alone.",
                      "Every day, {H} played alone near {spot}.")),
            r.choice(("One day, {fk} named {F} came to the village.",
                      "Then {he} saw someone new at {spot}. It was {F}, {fk}.")),
            r.choice(("\"Hello,\" said {H}. \"Do you want to play with me?\"",
                      "{H} was shy, but {he} walked up and said, \"Hello, I am {H}.\"")),
            r.choice(("\"Yes, I would love to,\" said {F}.",
                      "{F} smiled. \"I am {F}. I was hoping that someone would say hello.\"")),
            r.choice(("They played with {thing} until the sun went down.",
                      "They ran over the fields and ate {food} in the sun.")),
            r.choice(("From that day on, {H} was never alone again.",
                      "They promised to meet again the next day, and they did."))]


def way_home(r):
    return [r.choice(("One day, {H} walked too far and could not find the way home.",
                      "{H} followed a butterfly into the forest. Soon {he} was lost.")),
            r.choice(("It was getting dark, and {he} was a little afraid.",
                      "The trees were tall, and every path looked the same.")),
            r.choice(("\"Who is there?\" asked a soft voice. It was {F}, {fk}.",
                      "Then {he} saw {F}, {fk}, sitting on a stone.")),
            r.choice(("\"I want to go home,\" said {H}. \"Follow me,\" said {F}. "
                      "\"I know the way.\"",
                      "\"Do not worry,\" said {F}. \"Look at the stars. They show us the way.\"")),
            r.choice(("They walked past {spot}, and at last {H} saw the lights of home.",
                      "Step by step they walked through the night, until they came to {spot}.")),
            r.choice(("{H} gave {F} {thing} to say thank you.",
                      "\"Now I know the way,\" said {H}. \"Come and visit me!\""))]


def bridge(r):
    return [r.choice(("After a long rain, the bridge over the river was broken.",
                      "One morning, the bridge to the village was gone.")),
            r.choice(("Nobody could get to the market, and there was no bread.",
                      "The animals stood at the river and did not know what to do.")),
            r.choice(("\"I have an idea,\" said {H}. {He} ran to {F}, {fk}, who was very strong.",
                      "{H} asked {F}, {fk}, for help.")),
            r.choice(("Together they carried wood and stones the whole day.",
                      "They worked from morning until night, and everyone helped.")),
            r.choice(("In the evening, there was a new bridge, better than the old one.",
                      "When the moon came up, the new bridge was ready.")),
            r.choice(("The village made a feast with {food}, and {H} got the first plate.",
                      "Everyone thanked {H} and {F}, and they danced on the bridge."))]


def race(r):
    return [r.choice(("Every summer there was a race. {F}, {fk}, was sure to win it.",
                      "One day, {F}, {fk}, said, \"I am faster than you!\" So they made a race.")),
            r.choice(("{H} ran as fast as {he} could, but {F} was in front.",
                      "At first {F} was far ahead, and {H} was tired.")),
            r.choice(("Then {F} fell over a stone and hurt a foot.",
                      "Then {F} got stuck in the mud and could not move.")),
            r.choice(("{H} could have won, but {he} stopped to help.",
                      "\"Take my hand,\" said {H}, and {he} pulled as hard as {he} could.")),
            r.choice(("They walked over the line together, and everyone cheered.",
                      "Side by side they came to the end, and both of them won.")),
            r.choice(("\"You are a true friend,\" said {F}.",
                      "They shared the prize: a big basket of {food}."))]


def gift(r):
    return [r.choice(("It was the birthday of {F}, {fk}, and {H} had no gift.",
                      "Tomorrow was the birthday of {F}, {fk}. {H} wanted to give a gift.")),
            r.choice(("{He} had no money, so {he} thought for a long time.",
                      "{He} went to the market, but everything cost too much.")),
            r.choice(("Near {spot}, {he} found {thing}. {He} cleaned it until it was bright.",
                      "So {he} baked a cake with {food}, all by {him}self.")),
            r.choice(("{H} brought it to {F} and was a little nervous.",
                      "In the morning, {H} put it in front of the door.")),
            r.choice(("\"This is the best gift of all,\" said {F}, \"because you made it for me.\"",
                      "{F} laughed with joy and gave {H} a big hug.")),
            r.choice(("Then they ate cake and sang songs until it was dark.",
                      "They played all day long."))]


def stars(r):
    return [r.choice(("Every night, {H} looked at the stars and asked, \"Who lights them?\"",
                      "{H} wanted to know how far away the moon is.")),
            r.choice(("{F}, {fk}, did not know it either.",
                      "Nobody in the village could tell {him}.")),
            r.choice(("So {H} and {F} climbed up the hill to be closer to the sky.",
                      "So one night {he} took {F}, {fk}, along and walked up the highest hill.")),
            r.choice(("The night was still, and the stars were big and bright.",
                      "Up there it was cold, but they had {food} and a blanket.")),
            r.choice(("A star fell, and {H} made a wish.",
                      "They counted the stars until they could not count any more.")),
            r.choice(("\"What did you wish for?\" asked {F}. \"That we are friends forever.\"",
                      "\"I still do not know,\" said {H}, \"but it is beautiful.\""))]


def garden(r):
    return [r.choice(("In spring, {H} planted a small seed in the garden.",
                      "{H} found a seed and put it into the earth near {spot}.")),
            r.choice(("Every day {he} gave it water, but nothing happened.",
                      "{He} waited and waited, but there was only brown earth.")),
            r.choice(("\"Be patient,\" said {F}, {fk}. \"Good things need time.\"",
                      "{F}, {fk}, laughed. \"A seed needs sun, water and time.\"")),
            r.choice(("Then, one morning, there was a little green leaf.",
                      "After ten days, something green looked out of the earth.")),
            r.choice(("It grew and grew, until it was a tall tree full of {food2}.",
                      "In summer it was a big flower, as yellow as the sun.")),
            r.choice(("{H} and {F} sat in its shade and were happy.",
                      "{H} was proud and showed it to everyone."))]


PLOTS = (lost_thing, storm, sharing, learning, new_friend, way_home, bridge, race, gift, stars,
         garden)


def story(r, **cast):
    """One story of about 80 to 150 words."""
    who = Cast(r, **cast)
    plot = r.choice(PLOTS)
    parts = [opening(r)] + plot(r) + [r.choice(MORALS)]
    text = " ".join(p.strip() for p in parts)
    text = text.replace("{weather}", r.choice(WEATHERS)).replace("{food2}", r.choice(
        ("apples", "pears", "cherries"))).replace("{Thing_}", capital(definite(who.thing)))
    return who.fill(text)


def tiny_story(r, **cast):
    who = Cast(r, **cast)
    return who.fill(r.choice((
        "{H} the {k} found {thing} near {spot} and gave it to {F}, and so a friendship began.",
        "{capital_adj} {k} named {H} shared {his} last {food} with {F}, {fk}, and was happy.",
        "When the storm came, {H} the {k} opened the door for {F}, {fk}, and nobody was afraid."
    )).replace("{capital_adj}", capital(article(who.adjective))))


HAIKU = {
    "winter": (("Snow on the dark hill", "White snow on the roof"),
               ("a small llama leaves its tracks", "the old river sleeps in ice"),
               ("soft and soon covered", "waiting for the sun")),
    "spring": (("Green leaves in the rain", "The first warm morning"),
               ("a bird sings from the oak tree", "every branch is full of birds"),
               ("and the world wakes up", "spring has come again")),
    "summer": (("Long days by the lake", "Sun on the warm stones"),
               ("the children laugh and the bees", "a lizard looks at the sky"),
               ("hum in the tall grass", "and does not move on")),
    "autumn": (("Red leaves in the wind", "Fog on the brown fields"),
               ("the old tree lets go of them", "one last apple on the branch"),
               ("one by one by one", "falls into the grass")),
    "the sea": (("Waves come and waves go", "Blue as far as sight"),
                ("the old boat rocks in the wind", "a white sail on the water"),
                ("dreaming of the sea", "small under the sky")),
    "the moon": (("Moon above the hill", "The full moon tonight"),
                 ("a quiet lamp in the dark", "looks into the silent lake"),
                 ("for the way back home", "and sees its own face")),
    "rain": (("Rain on the window", "Soft rain in the night"),
             ("each drop draws a little road", "the garden drinks and is glad"),
             ("down the silent glass", "flowers lift their heads")),
    "a cat": (("Cat on the warm stone", "A cat in the sun"),
              ("one eye open for the birds", "dreaming of a silver fish"),
              ("one eye full of sleep", "and of soft blankets")),
    "a llama": (("A llama looks up", "High on the mountain"),
                ("the wind plays with its soft wool", "a llama stands in the wind"),
                ("clouds walk past the hill", "chewing thoughtfully")),
    "computers": (("The screen glows softly", "A fan hums at night"),
                  ("numbers turn into small words", "the machine is counting words"),
                  ("and the words reply", "one after the next")),
}


def haiku(r, topic):
    return "\n".join(r.choice(lines) for lines in HAIKU[topic])


POEMS = {
    "the sun": "The sun comes up, the day is new,\nThe grass is green, the sky is blue.\n"
               "It warms the hill, it warms the sea,\nIt warms the world and you and me.",
    "a cat": "A little cat sat on a mat,\nIt wore a very little hat.\n"
             "It looked at me, I looked at it,\nAnd so we sat a little bit.",
    "the night": "The moon is up, the day is done,\nThe stars come out now, one by one.\n"
                 "The wind is still, the birds are too,\nAnd all the world sleeps well, like you.",
    "a llama": "A llama walked up to the hill,\nThe air was cold, the air was still.\n"
               "It ate some grass, it looked around,\nAnd slept upon the quiet ground.",
    "love": "I have a heart, I give it you,\nYou hold it well, you keep it too.\n"
            "And when the days are cold and grey,\nYou take my hand and warm the day.",
    "friends": "A friend is someone at your side\nWhen paths are steep and fields are wide.\n"
               "A friend is someone who will stay\nAnd laugh with you on every day.",
}
