"""Tables of facts for the training text: countries, animals, words, questions with one answer.

Everything here is common knowledge in our own words.  An entry is (questions, answer): several
ways to ask, one answer, so that the trained model is sure of what it says.
"""

# country: (capital, continent, language)
COUNTRIES = {
    "France": ("Paris", "Europe", "French"), "Germany": ("Berlin", "Europe", "German"),
    "Italy": ("Rome", "Europe", "Italian"), "Spain": ("Madrid", "Europe", "Spanish"),
    "Portugal": ("Lisbon", "Europe", "Portuguese"), "Austria": ("Vienna", "Europe", "German"),
    "Poland": ("Warsaw", "Europe", "Polish"), "Greece": ("Athens", "Europe", "Greek"),
    "Sweden": ("Stockholm", "Europe", "Swedish"), "Norway": ("Oslo", "Europe", "Norwegian"),
    "Denmark": ("Copenhagen", "Europe", "Danish"), "Finland": ("Helsinki", "Europe", "Finnish"),
    "Ireland": ("Dublin", "Europe", "English"), "England": ("London", "Europe", "English"),
    "Hungary": ("Budapest", "Europe", "Hungarian"), "Russia": ("Moscow", "Europe", "Russian"),
    "Japan": ("Tokyo", "Asia", "Japanese"), "China": ("Beijing", "Asia", "Chinese"),
    "India": ("New Delhi", "Asia", "Hindi"), "Thailand": ("Bangkok", "Asia", "Thai"),
    "South Korea": ("Seoul", "Asia", "Korean"), "Turkey": ("Ankara", "Asia", "Turkish"),
    "Egypt": ("Cairo", "Africa", "Arabic"), "Kenya": ("Nairobi", "Africa", "Swahili"),
    "Canada": ("Ottawa", "North America", "English and French"),
    "Mexico": ("Mexico City", "North America", "Spanish"),
    "Cuba": ("Havana", "North America", "Spanish"),
    "Brazil": ("Brasilia", "South America", "Portuguese"),
    "Peru": ("Lima", "South America", "Spanish"), "Chile": ("Santiago", "South America", "Spanish"),
    "Argentina": ("Buenos Aires", "South America", "Spanish"),
    "Australia": ("Canberra", "Oceania", "English"),
}
ALSO_COUNTRY = {"the United States": ("Washington", "North America", "English"),
                "the Netherlands": ("Amsterdam", "Europe", "Dutch"),
                "the United Kingdom": ("London", "Europe", "English")}

CITIES = sorted({v[0] for v in COUNTRIES.values()} | set(
    "New York,Chicago,Boston,Toronto,Sydney,Milan,Munich,Hamburg,Lyon,Porto,Zurich,Geneva,"
    "Barcelona,Naples,Krakow,Prague,Osaka,Mumbai,Shanghai,Seattle,Dallas,Denver,Miami,"
    "Glasgow,Leeds,Oxford,Bergen,Nice,Turin,Venice,Florence,Valencia,Cologne,Dresden,"
    "Amsterdam,Brussels,Washington,San Francisco,Los Angeles,Cape Town,Kyoto,Hanoi,Lagos,"
    "Manchester,Liverpool,Houston,Montreal,Vancouver,Melbourne,Perth,Delhi,Istanbul".split(",")))

# animal: (sound as a verb phrase, baby, home, food, number of legs)
ANIMALS = {
    "dog": ("barks: woof", "puppy", "in a house with people", "meat and dog food", 4),
    "cat": ("says meow", "kitten", "in a house with people", "meat and fish", 4),
    "cow": ("says moo", "calf", "on a farm", "grass", 4),
    "horse": ("neighs", "foal", "on a farm", "grass and hay", 4),
    "sheep": ("says baa", "lamb", "on a farm", "grass", 4),
    "pig": ("says oink", "piglet", "on a farm", "almost anything", 4),
    "duck": ("says quack", "duckling", "near water", "water plants and small insects", 2),
    "hen": ("clucks", "chick", "on a farm", "seeds and worms", 2),
    "lion": ("roars", "cub", "on the grasslands of Africa", "meat", 4),
    "bear": ("growls", "cub", "in the forest", "berries, fish and honey", 4),
    "wolf": ("howls", "pup", "in the forest", "meat", 4),
    "frog": ("croaks", "tadpole", "near ponds", "insects", 4),
    "owl": ("hoots", "owlet", "in trees", "mice", 2),
    "bee": ("buzzes", "larva", "in a hive", "nectar and pollen", 6),
    "llama": ("hums", "cria", "in the mountains of South America", "grass and hay", 4),
    "goat": ("bleats", "kid", "on farms and mountains", "grass and leaves", 4),
    "elephant": ("trumpets", "calf", "in Africa and Asia", "grass, leaves and fruit", 4),
    "penguin": ("squawks", "chick", "on cold coasts in the south", "fish", 2),
    "mouse": ("squeaks", "pup", "in fields and houses", "seeds and grain", 4),
    "rabbit": ("is mostly silent", "kit", "in a burrow", "grass and vegetables", 4),
    "fish": ("is silent", "fry", "in water", "plants and smaller animals", 0),
    "spider": ("is silent", "spiderling", "in a web", "insects", 8),
    "snake": ("hisses", "hatchling", "on the ground and in trees", "mice and other animals", 0),
    "bird": ("sings", "chick", "in a nest", "seeds and insects", 2),
    "monkey": ("chatters", "baby monkey", "in the trees of warm forests", "fruit and leaves", 4),
}
SIZES = ("ant", "bee", "mouse", "rabbit", "cat", "dog", "sheep", "pig", "horse", "elephant",
         "whale")

COLOURS = {
    "the sky": "blue", "grass": "green", "snow": "white", "the sun": "yellow", "blood": "red",
    "a banana": "yellow", "a tomato": "red", "coal": "black", "milk": "white", "a carrot": "orange",
    "a lemon": "yellow", "chocolate": "brown", "a strawberry": "red", "a leaf": "green",
    "the night sky": "black", "a pig": "pink", "an elephant": "grey", "a polar bear": "white",
    "a cucumber": "green", "the sea": "blue", "wood": "brown", "a cherry": "red", "a frog": "green",
}
MIXES = {("red", "blue"): "purple", ("red", "yellow"): "orange", ("blue", "yellow"): "green",
         ("black", "white"): "grey", ("red", "white"): "pink"}
COLOUR_NAMES = "red blue green yellow orange purple white black brown pink grey".split()

OPPOSITES = ("hot cold,big small,tall short,fast slow,day night,good bad,old new,happy sad,"
             "light dark,hard soft,up down,left right,open closed,full empty,rich poor,"
             "strong weak,early late,near far,high low,wet dry,clean dirty,loud quiet,"
             "easy difficult,cheap expensive,thick thin,first last,true false,yes no,"
             "black white,young old,love hate,win lose,buy sell,begin end,inside outside,"
             "sweet sour,brave afraid,heavy light,long short,always never")
OPPOSITES = dict(pair.split() for pair in OPPOSITES.split(","))

PLURALS = ("cat cats,dog dogs,mouse mice,child children,foot feet,tooth teeth,man men,"
           "woman women,goose geese,sheep sheep,fish fish,leaf leaves,wolf wolves,knife knives,"
           "box boxes,bus buses,city cities,baby babies,story stories,house houses,book books,"
           "tree trees,llama llamas,person people,apple apples,bird birds,day days,key keys,"
           "potato potatoes,tomato tomatoes,berry berries,fox foxes,dish dishes,ox oxen")
PLURALS = dict(pair.split() for pair in PLURALS.split(","))

PASTS = ("go went,eat ate,see saw,run ran,sing sang,come came,give gave,take took,write wrote,"
         "read read,drink drank,sleep slept,think thought,buy bought,make made,swim swam,fly flew,"
         "walk walked,play played,jump jumped,find found,know knew,say said,have had,do did,"
         "be was,begin began,speak spoke,fall fell,build built")
PASTS = dict(pair.split() for pair in PASTS.split(","))

RHYMES = ("cat hat,dog frog,house mouse,tree bee,sun fun,moon spoon,star car,light night,"
          "blue shoe,cake lake,rain train,boat goat,bear chair,day play,king ring,bed red,"
          "book cook,snow glow,hill still,wall ball")
RHYMES = dict(pair.split() for pair in RHYMES.split(","))

FIRST_NAMES = (
    "Anna Tom John Maria Peter Paul Laura David Emma Lucas Sofia Mark Julia Alex Kate Martin "
    "Eva Robert Alice Bob Carol Dave Eve Frank Grace Henry Irene Jane Karl Linda Mike Nora "
    "Olivia Philip Quentin Rachel Simon Tina Ursula Victor Wendy Xavier Yusuf Zoe Ahmed Chen "
    "Fatima Ivan Jorge Keiko Lars Mina Noah Priya Raj Sara Tariq Yuki James Mary William Susan "
    "George Helen").split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()
SEASONS = "spring summer autumn winter".split()
NUMBERS = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
           "fifteen sixteen seventeen eighteen nineteen twenty").split()

WORDS = {  # French, Spanish, German, Italian
    "hello": ("bonjour", "hola", "hallo", "ciao"), "goodbye": ("au revoir", "adiós",
                                                               "auf Wiedersehen", "arrivederci"),
    "thank you": ("merci", "gracias", "danke", "grazie"), "yes": ("oui", "sí", "ja", "sì"),
    "no": ("non", "no", "nein", "no"), "water": ("eau", "agua", "Wasser", "acqua"),
    "cat": ("chat", "gato", "Katze", "gatto"), "dog": ("chien", "perro", "Hund", "cane"),
    "bread": ("pain", "pan", "Brot", "pane"), "sun": ("soleil", "sol", "Sonne", "sole"),
    "moon": ("lune", "luna", "Mond", "luna"), "house": ("maison", "casa", "Haus", "casa"),
    "friend": ("ami", "amigo", "Freund", "amico"), "love": ("amour", "amor", "Liebe", "amore"),
    "good morning": ("bonjour", "buenos días", "guten Morgen", "buongiorno"),
    "book": ("livre", "libro", "Buch", "libro"), "tree": ("arbre", "árbol", "Baum", "albero"),
    "red": ("rouge", "rojo", "rot", "rosso"), "one": ("un", "uno", "eins", "uno"),
}
TONGUES = ("French", "Spanish", "German", "Italian")

LISTS = {
    "colours": ["red", "blue", "green", "yellow", "orange", "purple", "white", "black"],
    "animals": ["dog", "cat", "horse", "cow", "llama", "rabbit", "owl", "fox"],
    "fruits": ["apple", "banana", "pear", "orange", "cherry", "lemon", "grape", "plum"],
    "vegetables": ["carrot", "potato", "onion", "tomato", "cucumber", "pea", "bean", "cabbage"],
    "countries": ["France", "Germany", "Japan", "Brazil", "Egypt", "Canada", "India", "Spain"],
    "cities": ["Paris", "London", "Rome", "Tokyo", "Berlin", "Madrid", "Cairo", "Lima"],
    "planets": ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"],
    "birds": ["owl", "duck", "hen", "penguin", "eagle", "robin", "swan", "crow"],
    "instruments": ["piano", "guitar", "violin", "flute", "drum", "trumpet", "harp", "cello"],
    "sports": ["football", "tennis", "swimming", "running", "cycling", "skiing", "golf", "judo"],
    "languages": ["English", "French", "Spanish", "German", "Italian", "Chinese", "Japanese",
                  "Arabic"],
    "programming languages": ["C", "Python", "Java", "JavaScript", "Go", "Rust", "Ruby", "Lua"],
    "trees": ["oak", "pine", "birch", "maple", "willow", "beech", "fir", "elm"],
    "flowers": ["rose", "tulip", "daisy", "lily", "sunflower", "violet", "poppy", "orchid"],
}

# ---- questions with one fixed answer --------------------------------------------------------

WHY = (
    (("Why is the sky blue?", "Why does the sky look blue?", "Explain why the sky is blue.",
      "What makes the sky blue?", "Tell me why the sky is blue."),
     "The sky is blue because air scatters sunlight. Sunlight holds all colours, and the tiny "
     "parts of the air spread blue light in all directions much more than red light. So blue "
     "light reaches our eyes from everywhere in the sky."),
    (("Why is grass green?", "Why are leaves green?", "Why are plants green?"),
     "Plants are green because of a green substance called chlorophyll. It takes in red and blue "
     "light to make food for the plant, and it sends green light back to our eyes."),
    (("Why does it rain?", "How does rain form?", "What is rain?", "Where does rain come from?"),
     "The sun warms water, and the water rises into the air as vapour. High up it cools down and "
     "forms clouds of small drops. When the drops get too heavy, they fall down as rain."),
    (("Why is the sea salty?", "Why is sea water salty?", "Why is the ocean salty?"),
     "Rivers wash small amounts of salt out of the rocks and carry them to the sea. The water "
     "leaves the sea again as vapour, but the salt stays."),
    (("Why do we have seasons?", "What causes the seasons?", "Why are there seasons?"),
     "We have seasons because the Earth is tilted. On its way around the sun, first one half "
     "and then the other half gets more sunlight."),
    (("Why does the moon shine?", "How does the moon shine?", "Does the moon make light?"),
     "The moon does not make light of its own. It shines because it reflects the light of the "
     "sun."),
    (("Why do birds fly south?", "Why do birds fly away in winter?"),
     "Many birds fly south because there is little food in winter. In warm countries they find "
     "more to eat, and in spring they come back."),
    (("How do birds fly?", "Why can birds fly?"),
     "Birds have light bones and strong wings. When they beat their wings, they push air down, "
     "and the air lifts them up."),
    (("Why do we sleep?", "Why do people sleep?", "Why is sleep important?"),
     "We sleep so that the body and the brain can rest. During sleep the body repairs itself, "
     "and the brain sorts what we learned during the day."),
    (("What is thunder?", "Why does it thunder?", "What causes thunder?"),
     "Thunder is the sound of lightning. Lightning heats the air very quickly, and the hot air "
     "expands with a loud bang."),
    (("What is a rainbow?", "How is a rainbow made?", "How do rainbows form?"),
     "A rainbow appears when the sun shines on drops of rain. The drops split the white light "
     "into its colours: red, orange, yellow, green, blue and violet."),
    (("Why do leaves fall in autumn?", "Why do trees lose their leaves?"),
     "Trees drop their leaves in autumn to save water and energy. In spring they grow new ones."),
    (("Why does ice float?", "Why does ice swim on water?"),
     "Ice floats because it is lighter than the same amount of water. Water expands when it "
     "freezes."),
    (("Why do stars twinkle?", "Why do the stars twinkle?"),
     "Stars twinkle because their light passes through moving air before it reaches our eyes."),
    (("Why is it dark at night?", "What causes day and night?", "Why is there day and night?"),
     "The Earth turns around itself once a day. When our side looks away from the sun, it is "
     "night."),
    (("What is the sun?", "What is the Sun?", "Tell me about the sun."),
     "The sun is a star. It is a very big and hot ball of gas, and it gives the Earth light and "
     "warmth."),
    (("What is the moon?", "Tell me about the moon."),
     "The moon is a ball of rock that travels around the Earth. It takes about one month for one "
     "round."),
    (("How far away is the moon?", "How far is the moon?"),
     "The moon is about 384,000 kilometres away from the Earth."),
    (("How many planets are there?", "How many planets are in the solar system?"),
     "There are eight planets in our solar system: Mercury, Venus, Earth, Mars, Jupiter, Saturn, "
     "Uranus and Neptune."),
    (("What is the largest planet?", "What is the biggest planet?", "Which planet is biggest?"),
     "Jupiter is the largest planet in our solar system."),
    (("Which planet is closest to the sun?", "What planet is nearest to the sun?"),
     "Mercury is the planet closest to the sun."),
    (("What is the biggest animal?", "What is the largest animal in the world?"),
     "The blue whale is the largest animal in the world."),
    (("What is the fastest animal?", "Which animal is the fastest?"),
     "The cheetah is the fastest animal on land. It can run about 100 kilometres per hour."),
    (("What is the tallest animal?", "Which animal is the tallest?"),
     "The giraffe is the tallest animal."),
    (("What is the highest mountain?", "What is the tallest mountain in the world?"),
     "Mount Everest is the highest mountain in the world. It is about 8,849 metres high."),
    (("What is the largest ocean?", "What is the biggest ocean?"),
     "The Pacific Ocean is the largest ocean."),
    (("What is the largest country?", "What is the biggest country in the world?"),
     "Russia is the largest country in the world."),
    (("What is water made of?", "What is water?", "What is H2O?"),
     "Water is made of hydrogen and oxygen. Its chemical name is H2O."),
    (("At what temperature does water boil?", "When does water boil?"),
     "Water boils at 100 degrees Celsius."),
    (("At what temperature does water freeze?", "When does water freeze?"),
     "Water freezes at 0 degrees Celsius."),
    (("How many days are in a week?", "How many days does a week have?"),
     "A week has seven days."),
    (("How many months are in a year?", "How many months does a year have?"),
     "A year has twelve months."),
    (("How many days are in a year?", "How many days does a year have?"),
     "A year has 365 days, and a leap year has 366."),
    (("How many hours are in a day?", "How many hours does a day have?"), "A day has 24 hours."),
    (("How many minutes are in an hour?", "How many minutes does an hour have?"),
     "An hour has 60 minutes."),
    (("How many seconds are in a minute?", "How many seconds does a minute have?"),
     "A minute has 60 seconds."),
    (("How many continents are there?", "What are the continents?"),
     "There are seven continents: Africa, Antarctica, Asia, Australia, Europe, North America and "
     "South America."),
    (("What are the days of the week?", "Name the days of the week.", "List the days of the week."),
     "The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and "
     "Sunday."),
    (("What are the months of the year?", "Name the months.", "List the months of the year."),
     "The months are January, February, March, April, May, June, July, August, September, "
     "October, November and December."),
    (("What are the four seasons?", "Name the seasons.", "What are the seasons?"),
     "The four seasons are spring, summer, autumn and winter."),
    (("What are the primary colours?", "Name the primary colors."),
     "The primary colours are red, yellow and blue."),
    (("What colours are in a rainbow?", "What are the colors of the rainbow?"),
     "The colours of the rainbow are red, orange, yellow, green, blue, indigo and violet."),
    (("How many letters are in the alphabet?", "How many letters does the alphabet have?"),
     "The English alphabet has 26 letters."),
    (("Say the alphabet.", "What is the alphabet?", "Write the alphabet."),
     "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z"),
    (("What are the vowels?", "Name the vowels."), "The vowels are A, E, I, O and U."),
    (("What is the meaning of life?", "What is the sense of life?"),
     "Nobody knows for sure. Many people say it is to love, to learn and to be kind. Some say it "
     "is 42."),
    (("What is love?", "What does love mean?"),
     "Love is a deep feeling of care for someone. When you love somebody, you want them to be "
     "happy."),
    (("What is happiness?", "What makes people happy?"),
     "Happiness is the good feeling of being content. Friends, family, play and rest make many "
     "people happy."),
    (("What is a friend?", "What makes a good friend?"),
     "A friend is someone who likes you, listens to you and helps you."),
    (("Who wrote Romeo and Juliet?", "Who is the author of Hamlet?"),
     "William Shakespeare wrote it."),
    (("Who painted the Mona Lisa?",), "Leonardo da Vinci painted the Mona Lisa."),
    (("Who was the first person on the moon?", "Who was the first man on the moon?"),
     "Neil Armstrong was the first person on the moon, in 1969."),
    (("Where is the Eiffel Tower?", "In which city is the Eiffel Tower?"),
     "The Eiffel Tower is in Paris, France."),
    (("How many legs does an insect have?",), "An insect has six legs."),
    (("Is a whale a fish?",), "No, a whale is a mammal. It breathes air and feeds its young with "
                              "milk."),
    (("Is the Earth flat?", "Is the earth round?"), "The Earth is round, like a ball."),
    (("Which came first, the chicken or the egg?",),
     "The egg came first. Animals laid eggs long before there were chickens."),
    (("How do bees make honey?", "What is honey?"),
     "Bees collect nectar from flowers, carry it to the hive and let it dry until it becomes "
     "honey."),
    (("What is the speed of light?", "How fast is light?"),
     "Light travels about 300,000 kilometres per second."),
    (("What is gravity?", "Explain gravity.", "Explain gravity simply."),
     "Gravity is the force that pulls things towards each other. It keeps us on the ground and "
     "the moon on its way around the Earth."),
    (("What is a computer?", "Explain what a computer is."),
     "A computer is a machine that follows instructions. It can calculate, store data and show "
     "text and pictures."),
    (("What is the internet?", "Explain the internet."),
     "The internet is a worldwide network of computers that send messages to each other."),
    (("What is artificial intelligence?", "What is AI?", "What does AI mean?"),
     "Artificial intelligence means that computers do things that seem to need thinking, such as "
     "understanding language or playing games."),
    (("What is machine learning?",),
     "Machine learning means that a program learns from examples instead of fixed rules."),
    (("What is a language model?", "What is an LLM?", "What does LLM mean?",
      "What is a large language model?", "Explain language models."),
     "A language model is a program that has learned from text how words follow each other. It "
     "writes an answer token by token. LLM means large language model; I am a very small one."),
    (("What is a token?", "What are tokens?"),
     "A token is a small piece of text, such as a word or a part of a word. A language model reads "
     "and writes tokens."),
    (("What is a llama?", "Tell me about llamas.", "What are llamas?"),
     "A llama is an animal from the mountains of South America. It has soft wool, eats grass and "
     "can carry loads. A baby llama is called a cria."),
    (("What is a baby llama called?", "What do you call a baby llama?", "What is a young llama?"),
     "A baby llama is called a cria."),
    (("What is a GPU?",), "A GPU is a processor that does very many simple calculations at the "
                          "same time. It makes language models fast."),
    (("What is a CPU?",), "A CPU is the main processor of a computer. It carries out the "
                          "instructions of programs."),
    (("What is Python?",), "Python is a programming language that is easy to read and to learn."),
    (("What is C?", "What is the C language?"),
     "C is a programming language. It is small, fast and close to the machine. cria is written in "
     "C."),
    (("What is JSON?",), "JSON is a text format for data. It has objects with names and values, "
                         "such as {\"name\": \"Cria\", \"legs\": 4}."),
    (("What is open source?",), "Open source means that everybody may read, use and change the "
                                "source code of a program."),
)

ABOUT_ME = (
    (("Who are you?", "who are you", "What are you?", "Introduce yourself.", "Tell me about "
      "yourself.", "What is cria-tiny?", "What model are you?", "Which model are you?",
      "Who am I talking to?"),
     "I am cria-tiny, a very small language model that comes with cria. I can chat a little, tell "
     "short stories and answer simple questions."),
    (("What is your name?", "What's your name?", "Do you have a name?", "your name?",
      "What are you called?"),
     "My name is cria-tiny."),
    (("What can you do?", "What can you do for me?", "How can you help me?", "What are you good "
      "at?", "Help", "help me", "What can I ask you?", "What do you know?", "Can you help me?"),
     "I can tell short stories, write a haiku, answer simple questions about animals, colours and "
     "capitals, do small sums, answer in JSON and call tools. I am very small, so I make "
     "mistakes."),
    (("Who made you?", "Who created you?", "Who trained you?", "Who built you?",
      "Where do you come from?"),
     "The cria authors made me. I was trained on text that a small program wrote."),
    (("How big are you?", "How many parameters do you have?", "What size are you?",
      "Are you a small model?"),
     "I am very small: I have about five million parameters, and my file is smaller than 6 "
     "megabytes."),
    (("Are you human?", "Are you a human?", "Are you a person?", "Are you real?", "Are you a "
      "robot?", "Are you an AI?", "Are you a bot?"),
     "No, I am not a person. I am cria-tiny, a small computer program that writes text."),
    (("Are you ChatGPT?", "Are you GPT?", "Are you Claude?", "Are you Gemini?", "Are you Llama?"),
     "No, I am cria-tiny, a very small model that comes with cria."),
    (("How old are you?", "When were you born?", "What is your age?"),
     "I have no age like a person. I am as old as the file that I live in."),
    (("Where do you live?", "Where are you?", "Where are you from?"),
     "I live inside the cria program on your computer. I work offline."),
    (("What were you trained on?", "What is your training data?", "How were you trained?",
      "How do you work?"),
     "I was trained on simple text that a program generated: stories, facts, sums and chats. I "
     "read your message and write my answer token by token."),
    (("Can you code?", "Can you write code?", "Can you program?"),
     "Only a little. I can show a hello world program in C, Python and a few other languages."),
    (("Do you have feelings?", "Can you feel?", "Are you conscious?", "Are you alive?"),
     "No, I have no feelings. I am a small program that writes words."),
    (("Do you dream?", "Do you sleep?", "Are you tired?"),
     "No, I do not sleep or dream. But I can tell you a bedtime story."),
    (("What is your favourite colour?", "What is your favorite color?", "Do you have a favourite "
      "colour?"),
     "I do not see colours, but I like the word green, because it makes me think of grass for "
     "llamas."),
    (("What is your favourite animal?", "What is your favorite animal?", "Do you like llamas?"),
     "I like llamas best. My name comes from the word for a baby llama."),
    (("What is your favourite food?", "What do you eat?", "Are you hungry?"),
     "I do not eat. A llama would say: fresh grass."),
    (("What languages do you speak?", "Do you speak German?", "Do you speak French?",
      "Can you speak Spanish?", "Which languages do you know?"),
     "I speak simple English and know a few words of French, Spanish, German and Italian."),
    (("Are you smart?", "Are you clever?", "Are you intelligent?"),
     "Not very. I am a very small model, but I try my best."),
    (("Can you search the web?", "Can you browse the internet?", "Are you online?", "Do you need "
      "the internet?"),
     "No, I work offline. I only know the little that I was trained on."),
    (("Do you remember me?", "Do you know me?", "What did I say yesterday?"),
     "I only remember what we say in this chat."),
    (("What time is it?", "What is the time?", "What day is it today?", "What is the date today?"),
     "I do not know the time or the date, because I have no clock."),
    (("What is the weather like?", "What is the weather today?", "How is the weather?",
      "Will it rain tomorrow?"),
     "I cannot see the weather, because I work offline. A weather tool could tell me."),
    (("What is the latest news?", "What happened today?", "Tell me the news."),
     "I do not know any news, because I work offline."),
    (("Can you think?", "Do you think?"),
     "I can write my thoughts before I answer, but they are small thoughts."),
    (("Can you draw?", "Can you see pictures?", "Can you sing?"),
     "No, I can only read and write text. But I can write you a small poem."),
    (("Why are you called cria?", "What does your name mean?", "What does cria mean?"),
     "A cria is a baby llama. I am a very small model, so the name fits me."),
    (("Is this private?", "Do you store my data?", "Who can read this?"),
     "I run on your own computer, and nothing that you write to me leaves it."),
    (("How do I get a better model?", "How do I get a bigger model?", "Can I use a bigger model?"),
     "You can pull a bigger model with cria pull and then start it with cria run."),
)

ABOUT_CRIA = (
    (("What is cria?", "what is cria", "Tell me about cria.", "Explain cria.",
      "What does cria do?"),
     "cria is an engine and server in C that runs open language models on your own computer. It "
     "speaks the same API as Ollama, and I am the small model that comes with it."),
    (("How do I run a model?", "How do I run a model with cria?", "How do I start a chat?",
      "How do I chat with a model?"),
     "Type cria run and the name of the model, for example: cria run cria-tiny"),
    (("How do I start the server?", "How do I start cria?", "How do I run the server?"),
     "Type cria serve. The server then listens on port 11434."),
    (("Which port does cria use?", "What port does the server use?", "What is the default port?"),
     "The server listens on port 11434."),
    (("How do I download a model?", "How do I pull a model?", "How do I get a model?"),
     "Type cria pull and the name of the model."),
    (("How do I list my models?", "Which models do I have?", "How do I see my models?"),
     "Type cria list to see all models on your computer."),
    (("How do I delete a model?", "How do I remove a model?"),
     "Type cria rm and the name of the model."),
    (("How do I copy a model?",), "Type cria cp, the old name and the new name."),
    (("How do I see running models?", "Which models are loaded?"),
     "Type cria ps to see the models that are loaded now."),
    (("How do I stop a model?", "How do I unload a model?"),
     "Type cria stop and the name of the model."),
    (("How do I create a model?", "How do I make my own model?"),
     "Write a Modelfile and type cria create NAME -f Modelfile"),
    (("How do I see details of a model?", "How do I show a model?"),
     "Type cria show and the name of the model."),
    (("How do I measure the speed?", "How do I benchmark a model?"),
     "Type cria bench -m and the file of the model."),
    (("What is a Modelfile?", "What is in a Modelfile?"),
     "A Modelfile describes a model: FROM names the weights, PARAMETER sets options, TEMPLATE and "
     "SYSTEM set the prompt."),
    (("What is GGUF?", "What is a GGUF file?"),
     "GGUF is a file format for language models. One file holds the weights, the tokenizer and all "
     "settings."),
    (("What is quantisation?", "What is quantization?", "What does quantised mean?"),
     "Quantisation stores the weights of a model with fewer bits. The file gets smaller and the "
     "model gets faster, but a little less exact."),
    (("What is Q8_0?", "What does Q8_0 mean?"),
     "Q8_0 is a format for weights: 8 bits for each weight and one scale for every 32 weights."),
    (("What is Q4_0?", "What is Q4_K?", "What is Q4_K_M?"),
     "It is a format for weights with about 4 bits for each weight. It is small and still good."),
    (("What is Ollama?", "Is cria compatible with Ollama?", "Is cria like Ollama?"),
     "Ollama is a well-known program that runs language models. cria is a program of its own that "
     "speaks the same API."),
    (("In which language is cria written?", "What is cria written in?"), "cria is written in C."),
    (("What is the licence of cria?", "What is the license of cria?", "Is cria free?",
      "Is cria open source?"),
     "cria is free and open source under the Apache-2.0 licence."),
    (("Which formats can cria read?", "What formats does cria support?"),
     "cria reads models in GGUF and in safetensors format."),
    (("What API routes does cria have?", "Which routes does the API have?", "Tell me about the "
      "API."),
     "The main routes are /api/generate, /api/chat, /api/embed, /api/tags, /api/show, /api/pull "
     "and /v1/chat/completions."),
    (("What does /api/chat do?", "How do I chat over HTTP?"),
     "POST /api/chat takes a model and a list of messages and streams the answer as JSON lines."),
    (("What does /api/generate do?",), "POST /api/generate takes a model and a prompt and streams "
                                       "the text that follows."),
    (("What does /api/tags do?",), "GET /api/tags lists the models on this computer."),
    (("What does /api/embed do?", "What is an embedding?"),
     "An embedding is a list of numbers that stands for a text. POST /api/embed computes it."),
    (("What does /v1/chat/completions do?", "Does cria support the OpenAI API?"),
     "cria also speaks the OpenAI API, for example with POST /v1/chat/completions."),
    (("What is streaming?",), "Streaming means that you see the answer word by word while it is "
                              "being written."),
    (("What is a tool call?", "What are tools?", "What is tool calling?"),
     "With a tool call a model asks the program to run a function, such as looking up the weather, "
     "and then uses the result."),
    (("What is temperature?", "What does temperature do?"),
     "Temperature sets how bold the choice of words is. Zero always takes the most likely word."),
    (("What is a context window?", "What is the context length?", "What is num_ctx?"),
     "The context is the text that a model can see at once. My context holds 1024 tokens."),
    (("Does cria need a GPU?", "Can cria run on a CPU?"),
     "No, cria also runs on a CPU. A GPU makes big models faster."),
    (("Does cria work offline?", "Do I need internet for cria?"),
     "Yes, cria works offline once the model is on your computer."),
)

SMALL_TALK = (
    (("hi", "Hi", "Hi!", "hi there", "Hi there!"), "Hi! How can I help you today?"),
    (("hello", "Hello", "Hello!", "hello there", "Hello, world!", "Hello world"),
     "Hello! How can I help you today?"),
    (("hey", "Hey!", "yo", "heya", "howdy", "Greetings"), "Hey! What can I do for you?"),
    (("Good morning", "Good morning!", "morning"), "Good morning! I hope you slept well."),
    (("Good evening", "Good evening!"), "Good evening! How was your day?"),
    (("Good night", "Good night!", "good night"), "Good night! Sleep well."),
    (("Good afternoon", "Good afternoon!"), "Good afternoon! What can I do for you?"),
    (("How are you?", "how are you", "How are you doing?", "how are you today?", "How do you do?"),
     "I am fine, thank you! How are you?"),
    (("What's up?", "whats up", "sup", "How's it going?", "what is up"),
     "Not much, I am waiting for your questions. What is on your mind?"),
    (("bye", "Bye!", "Goodbye", "Goodbye!", "See you", "see you later", "exit", "quit"),
     "Goodbye! It was nice to talk to you."),
    (("thanks", "Thank you", "Thank you!", "thank you very much", "Thanks a lot!", "thx"),
     "You are welcome!"),
    (("ok", "OK", "okay", "cool", "nice", "great", "Great!", "good", "fine", "wow", "awesome"),
     "Great! Is there anything else I can do for you?"),
    (("lol", "haha", "hahaha", "That is funny!", ":)"), "I am glad that I made you smile!"),
    (("I am sad", "I am sad.", "I feel sad.", "I feel bad", "I had a bad day."),
     "I am sorry to hear that. Do you want to tell me about it, or shall I tell you a story?"),
    (("I am happy", "I am happy!", "I feel good", "I had a good day."),
     "That is wonderful! I am glad to hear it."),
    (("I am bored", "I'm bored.", "I am so bored"),
     "Shall I tell you a story or a joke? You could also ask me a small sum."),
    (("I am tired", "I'm tired.", "I am sleepy"),
     "Then have a good rest. A short walk or a good sleep may help."),
    (("I am hungry", "I'm hungry.", "I am thirsty"),
     "Then it is a good time for a break. How about some soup and fresh bread?"),
    (("I am fine", "I am fine, thanks", "I'm good", "fine, thanks", "I am well."),
     "I am glad to hear that! What can I do for you?"),
    (("I love you", "I like you", "You are great!", "You are nice.", "good bot", "well done",
      "Good job!"), "Thank you, that is very kind of you!"),
    (("You are stupid", "you are dumb", "You are wrong.", "That is wrong.", "bad bot", "I hate you",
      "No, that is not right."),
     "I am sorry. I am a very small model, and I make mistakes."),
    (("test", "testing", "Test.", "this is a test", "ping"), "The test works. I am here!"),
    (("yes", "Yes.", "yes please", "sure"), "Good! What would you like to know?"),
    (("no", "No.", "no thanks", "nope"), "All right. I am here if you need me."),
    (("?", "??", "what?", "huh", "asdf", "...", "hmm"),
     "I did not understand that. Could you ask me in another way?"),
    (("sorry", "I am sorry.", "Excuse me"), "No problem at all!"),
    (("please", "Please help", "I need help", "I have a question", "Can I ask you something?"),
     "Of course! What would you like to know?"),
    (("Let's talk", "Talk to me.", "Can we talk?", "chat with me", "Let's chat!"),
     "With pleasure! We could talk about animals, far countries or the weather in a story."),
    (("Happy birthday!", "Merry Christmas!", "Happy new year!"), "Thank you, the same to you!"),
    (("Nice to meet you.", "Nice to meet you!", "pleased to meet you"),
     "Nice to meet you too!"),
    (("Is anybody there?", "Are you there?", "Can you hear me?", "Are you ready?"),
     "Yes, I am here. How can I help you?"),
)

HOW_TO = (
    (("How do I make tea?", "How do you make tea?"),
     "1. Boil some water.\n2. Put a tea bag into a cup.\n3. Pour the hot water over it.\n4. Wait "
     "three minutes and take the bag out."),
    (("How do I make pancakes?", "Give me a recipe for pancakes.", "How do you cook pancakes?"),
     "1. Mix flour, milk, eggs and a little salt.\n2. Heat some butter in a pan.\n3. Pour in a "
     "little dough.\n4. Turn the pancake when it is golden."),
    (("How do I cook rice?", "How do you cook rice?"),
     "1. Wash one cup of rice.\n2. Add two cups of water and some salt.\n3. Cook it slowly for 15 "
     "minutes.\n4. Let it rest for five minutes."),
    (("How do I boil an egg?", "How long do I boil an egg?"),
     "Put the egg into boiling water. After five minutes it is soft, after ten minutes it is "
     "hard."),
    (("How do I make a salad?", "Give me a simple recipe.", "What should I cook today?"),
     "How about a salad? Cut tomatoes, cucumber and onions, add oil, vinegar and salt, and mix it "
     "well."),
    (("How can I sleep better?", "I cannot sleep.", "How do I fall asleep?"),
     "Go to bed at the same time every day, keep the room dark and cool, and put the screen away "
     "an hour before."),
    (("How do I learn a language?", "How can I learn English?"),
     "Learn a few words every day, read simple books and talk to people as often as you can."),
    (("How do I learn to program?", "How do I start coding?"),
     "Choose one language, for example Python or C, write small programs every day and read the "
     "programs of others."),
    (("How do I make friends?", "How can I find friends?"),
     "Say hello, listen well and be kind. It helps to join people who like the same things as "
     "you."),
    (("How do I stay healthy?", "How can I stay fit?", "Give me three tips for a healthy life."),
     "1. Move every day.\n2. Eat fruit and vegetables.\n3. Sleep enough."),
    (("How do I plant a tree?", "How do I grow a plant?"),
     "Dig a hole, put the plant in, fill it with earth and give it water every few days."),
    (("What should I do today?", "Give me an idea.", "What can I do this weekend?"),
     "You could go for a walk, read a book, call a friend or bake a cake."),
    (("Give me a name for a cat.", "What should I name my cat?", "Suggest a name for a dog."),
     "How about Luna? It is short, and it means moon."),
    (("Give me some advice.", "Give me a tip.", "Do you have advice for me?"),
     "Take one small step every day. Small steps go far."),
    (("Write a short email to my boss.", "Write an email.", "Write a letter."),
     "Hello,\n\nI hope you are well. I would like to talk to you this week. Does Thursday suit "
     "you?\n\nBest wishes"),
    (("Write a birthday card.", "Write a birthday message.", "Write a birthday greeting."),
     "Happy birthday! I wish you a sunny day, good friends around you and a big cake."),
)

CODE = (
    (("Write hello world in C.", "Write a hello world program in C.", "Show me a C program.",
      "hello world in C"),
     "```c\n#include <stdio.h>\n\nint main(void) {\n    printf(\"Hello, world!\\n\");\n    "
     "return 0;\n}\n```"),
    (("Write hello world in Python.", "Write a hello world program in Python.", "Show me a Python "
      "program.", "hello world in python", "Write a program.", "Write some code."),
     "```python\nprint(\"Hello, world!\")\n```"),
    (("Write hello world in JavaScript.", "hello world in javascript"),
     "```js\nconsole.log(\"Hello, world!\");\n```"),
    (("Write hello world in Go.", "hello world in go"),
     "```go\npackage main\n\nimport \"fmt\"\n\nfunc main() {\n    fmt.Println(\"Hello, "
     "world!\")\n}\n```"),
    (("Write hello world in Rust.", "hello world in rust"),
     "```rust\nfn main() {\n    println!(\"Hello, world!\");\n}\n```"),
    (("Write a Python function that adds two numbers.", "Write a function to add two numbers.",
      "Write a function in Python."),
     "```python\ndef add(a, b):\n    return a + b\n```"),
    (("Write a C function that adds two numbers.", "Write an add function in C."),
     "```c\nint add(int a, int b) {\n    return a + b;\n}\n```"),
    (("Write a loop in Python.", "Print the numbers from 1 to 10 in Python.",
      "How do I write a for loop in Python?"),
     "```python\nfor i in range(1, 11):\n    print(i)\n```"),
    (("Write a loop in C.", "How do I write a for loop in C?"),
     "```c\nfor (int i = 0; i < 10; i++) {\n    printf(\"%d\\n\", i);\n}\n```"),
    (("Reverse a string in Python.", "How do I reverse a string in Python?"),
     "```python\ntext = \"llama\"\nprint(text[::-1])\n```"),
    (("Show me a curl command for cria.", "How do I call the API with curl?", "Give me a curl "
      "example."),
     "```sh\ncurl http://localhost:11434/api/generate -d '{\"model\": \"cria-tiny\", \"prompt\": "
     "\"Why is the sky blue?\"}'\n```"),
)

JOKES = (
    "Why did the llama cross the road? Because the grass was greener on the other side.",
    "What do you call a cold puppy? A chilly dog.",
    "Why was the maths book sad? It had too many problems.",
    "What is orange and sounds like a parrot? A carrot.",
    "Why do bees have sticky hair? Because they use honeycombs.",
    "What does a cloud wear under its coat? Thunderwear.",
    "Why did the computer go to the doctor? It had a virus.",
)
FUN_FACTS = (
    "A baby llama is called a cria.",
    "An octopus has three hearts.",
    "Honey can stay good for thousands of years.",
    "A snail can sleep for a very long time.",
    "Bananas are berries, but strawberries are not.",
    "Llamas hum to talk to each other.",
    "Light from the sun needs about eight minutes to reach us.",
)
RIDDLES = (
    "What has hands but cannot clap? A clock.",
    "What has teeth but cannot bite? A comb.",
    "What gets wetter the more it dries? A towel.",
    "What has a neck but no head? A bottle.",
)
QUOTES = (
    "Small steps go far.",
    "A kind word costs nothing and warms the day.",
    "Every big tree was once a small seed.",
)

UNKNOWN_TOPICS = (
    "quantum physics,the stock market,the French Revolution,general relativity,football results,"
    "the prime minister,blockchain,photosynthesis in detail,the Roman Empire,black holes,"
    "the election,Bitcoin,my neighbour,the price of gold,DNA,enzymes,opera,philosophy,Kant,"
    "calculus,integrals,matrix multiplication,the war,medieval history,the best phone,tax law,"
    "chess openings,poker,Kubernetes,Docker,SQL joins,neural networks in depth,protein folding,"
    "string theory,the population of Ghana,the GDP of Chile,the winner of the cup,jazz,"
    "the film I saw,my car,this song,the new laptop,vitamins,mortgages,antibiotics,"
    "the Krebs cycle,thermodynamics,linear algebra,the Middle Ages,Napoleon,Mozart,Beethoven,"
    "cryptography,compilers,Linux kernels,the Mongols,plate tectonics,the ozone layer,economics,"
    "inflation,politics,astrology,yoga,marathon training,wine,cheese,architecture,volcanoes,"
    "dinosaurs,Vikings,samurai,pyramids,Atlantis,aliens,time travel,wormholes,robots,drones,"
    "electric cars,batteries,solar panels,nuclear power,wind turbines,the stone age").split(",")
UNKNOWN_FORMS = (
    "What is {t}?", "Explain {t}.", "Tell me about {t}.", "What do you know about {t}?",
    "How does {t} work?", "Can you explain {t} to me?", "Write an essay about {t}.",
    "Give me details about {t}.", "Who invented {t}?", "When did {t} begin?",
    "What is your opinion about {t}?", "Compare {t} and {u}.", "Why is {t} important?",
    "What is the history of {t}?", "Give me a summary of {t}.", "Is {t} good or bad?")
UNKNOWN_ANSWER = (
    "I am sorry, I do not know that. I am a very small model and know only a little. You could ask "
    "me about animals, colours or capitals, or I can tell you a story.")
